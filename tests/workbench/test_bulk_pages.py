from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest

from openqueue.control import bulk
from openqueue.control.actor import Actor
from openqueue.control.bulk import asking
from openqueue.models import AuditLog, BulkOperation, Run
from tests.control.builders import clock
from tests.control.builders import make_run as make
from tests.workbench.conftest import OPERATOR, text, to
from tests.workbench.test_runs_page import EVIL

pytestmark = pytest.mark.django_db


def make_run(**how):
    """Make one that has ended a while ago: acts on many leave alone what ended since they were asked for."""
    return make(at=clock() - timedelta(minutes=1), **how)


def act(client, name: str, *runs, query: str = "", **fields):
    return client.post(
        f"{to('run')}{query}", {"act": name, "run": [run.hex for run in runs], **fields}, follow=True
    )


def test_37_are_retried_of_which_3_cannot_and_the_answer_says_so(admin_client):
    failed = [make_run(status="failed") for _ in range(34)]
    waiting = [make_run() for _ in range(3)]
    asked = text(act(admin_client, "some_retry", *failed, *waiting))
    assert "Retry 37 runs?" in asked
    assert Run.objects.filter(status="failed").count() == 34
    on = re.search(r'name="on" value="([^"]+)"', asked)[1]
    done = text(act(admin_client, "some_retry", on=on, confirmed="1", reason="mended"))
    assert "34 retried, 3 skipped: 3 had not ended." in done
    assert Run.objects.filter(status="queued").count() == 37
    line = AuditLog.objects.get(act="bulk.retry")
    assert (line.actor, line.reason, line.before["runs"]) == ("admin", "mended", "37")


def test_nothing_ticked_is_said_and_nothing_is_done(admin_client):
    make_run(status="failed")
    page = text(act(admin_client, "some_retry"), 409)
    assert "No run was selected" in page


def test_all_that_match_are_counted_named_and_acted_upon(admin_client):
    for _ in range(3):
        make_run(status="failed", queue="mail")
    other = make_run(status="failed")
    query = "?status=failed&queue=mail"
    asked = text(act(admin_client, "some_cancel", query=query, scope="all"))
    assert "Cancel 3 runs?" in asked
    assert "status:failed queue:mail since:24h" in asked
    done = text(act(admin_client, "some_discard", query=query, on="all", confirmed="1"))
    assert "3 discarded." in done
    assert [run.pk for run in Run.objects.all()] == [other]


def test_all_without_a_search_and_a_faulty_one_are_refused(admin_client):
    make_run(status="failed")
    assert "Say which runs" in text(act(admin_client, "some_retry", query="?period=all", scope="all"), 409)
    assert "Unknown field" in text(act(admin_client, "some_retry", query="?q=que:x", scope="all"), 409)


def test_more_than_a_thousand_go_on_in_the_background_on_a_page_that_can_stop_them(admin_client, monkeypatch):
    monkeypatch.setattr(asking, "INLINE", 2)
    for _ in range(3):
        make_run(status="failed")
    assert "done in the background" in text(
        act(admin_client, "some_retry", query="?status=failed", scope="all")
    )
    answer = act(admin_client, "some_retry", query="?status=failed", on="all", confirmed="1")
    operation = BulkOperation.objects.get()
    assert answer.redirect_chain[-1][0] == to("bulk_change", operation.pk)
    page = text(answer)
    assert "Retry 3 runs" in page
    assert "Waits for a worker" in page
    assert 'data-every="fast"' in page
    stopped = admin_client.post(
        to("bulk_change", operation.pk), {"act": "stop", "confirmed": "1", "on": ""}, follow=True
    )
    assert "stopped by admin" in text(stopped)
    assert "data-every" not in text(stopped)
    again = admin_client.post(to("bulk_change", operation.pk), {"act": "stop", "confirmed": "1", "on": ""})
    assert "nothing is left to stop" in text(again, 409)


def test_a_finished_operation_tells_what_it_did_and_why_some_were_left(admin_client):
    make_run(status="failed")
    make_run(queue="mail")
    done = bulk.ask("retry", "attempt:0,1", actor=Actor(name="ada"), reason=EVIL)
    page = text(admin_client.get(to("bulk_change", done.id)))
    assert "1 had not ended" in page
    assert "by ada" in page
    assert "<script>alert" not in page
    page = text(admin_client.get(to("bulk")))
    assert "1 retried, 1 skipped" in page
    assert "<script>alert" not in page
    assert "There is no bulk operation" in text(admin_client.get(to("bulk_change", uuid4())), 404)


def test_buttons_are_there_for_who_may_and_nobody_else(staff):
    make_run(status="failed")
    assert "some_retry" not in text(staff("view_run", name="vera").get(to("run")))
    assert 'type="checkbox" name="run"' not in text(staff("view_run", name="viktor").get(to("run")))
    page = text(staff(*OPERATOR, name="olga").get(to("run")))
    for name in ("some_retry", "some_cancel", "some_promote", "some_discard"):
        assert f'value="{name}"' in page


def test_who_may_not_retry_may_not_stop_a_retry(staff):
    operation = BulkOperation.objects.create(
        act="retry", arguments={}, search="status:failed", actor="ada", asked_at="2027-03-01T09:00Z",
        moved_at="2027-03-01T09:00Z", skipped={},
    )  # fmt: skip
    client = staff("view_run", "cancel_run")
    page = text(client.get(to("bulk_change", operation.pk)))
    assert 'value="stop"' not in page
    answer = client.post(to("bulk_change", operation.pk), {"act": "stop", "confirmed": "1"})
    assert answer.status_code == 403
    operation.refresh_from_db()
    assert operation.finished_at is None
