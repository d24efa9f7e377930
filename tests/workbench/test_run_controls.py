from __future__ import annotations

import re

import pytest

from openqueue.models import AuditLog, Run
from tests.control.builders import make_run, make_worker
from tests.workbench.conftest import OPERATOR, VIEWER, text, to

pytestmark = pytest.mark.django_db
ACTS = ("cancel", "retry", "promote", "discard")


def do(client, run, act: str, **fields):
    return client.post(to("run_change", run), {"act": act, "on": "", **fields}, follow=True)


def buttons(page: str) -> dict[str, str]:
    """Return the acts on show, and why each cannot be pressed."""
    found = {}
    for form in re.findall(r'<form class="oq-act".*?</form>', page, re.DOTALL):
        name = re.search(r'name="act" value="(\w+)"', form)[1]
        why = re.search(r'class="oq-why"[^>]*>([^<]*)<', form)
        assert bool(why) == ("disabled" in form)
        found[name] = why[1] if why else ""
    return found


def test_a_control_is_absent_without_the_right_and_disabled_with_a_reason_by_the_state(staff):
    run = make_run(status="failed")
    assert buttons(text(staff(*VIEWER, name="vera").get(to("run_change", run)))) == {}
    client = staff(*OPERATOR, name="olga")
    shown = buttons(text(client.get(to("run_change", run))))
    assert set(shown) == set(ACTS)
    assert shown["retry"] == shown["discard"] == ""
    assert shown["cancel"] == "It has ended: failed."
    running = make_run(status="running", worker=make_worker())
    shown = buttons(text(client.get(to("run_change", running))))
    assert shown["cancel"] == ""
    assert shown["retry"] == "Retry is for runs that failed; this one is running."
    page = text(client.get(to("run_change", running)))
    assert re.search(r'disabled aria-describedby="oq-why-again"', page)


@pytest.mark.parametrize(
    ("status", "act", "says", "after"),
    [
        ("queued", "cancel", "It is cancelled.", "cancelled"),
        ("running", "cancel", "It was asked to stop.", "running"),
        ("failed", "retry", "It is queued again", "queued"),
        ("scheduled", "promote", "It is due now", "queued"),
    ],
)
def test_an_act_shows_its_effect_in_the_same_answer(status, act, says, after, admin_client):
    run = make_run(status=status, **({"worker": make_worker()} if status == "running" else {}))
    answer = admin_client.post(
        to("run_change", run), {"act": act, "on": "", "confirmed": "1"}, headers={"HX-Request": "true"}
    )
    page = text(answer)
    assert says in page
    assert f">{after.capitalize()}<" in page.replace("</span> ", "</span>>") or after.capitalize() in page
    assert AuditLog.objects.filter(act=f"run.{act}", object=f"run {run}").count() == 1


def test_an_act_that_the_state_forbids_is_refused_with_how_it_stands(admin_client):
    run = make_run(status="completed")
    answer = admin_client.post(to("run_change", run), {"act": "cancel", "on": "", "confirmed": "1"})
    assert "It is completed now." in text(answer, 409)
    assert Run.objects.get().status == "completed"


def test_without_javascript_a_question_comes_first(admin_client):
    run = make_run(status="failed")
    page = text(do(admin_client, run, "retry"))
    assert "Retry this run?" in page
    assert Run.objects.get().status == "failed"
    assert "It is queued again" in text(do(admin_client, run, "retry", confirmed="1"))


def test_a_discarded_run_is_gone_and_the_list_says_so(admin_client):
    run = make_run(status="failed")
    answer = do(admin_client, run, "discard", confirmed="1", reason="noise")
    assert answer.redirect_chain[-1][0] == to("run")
    assert "The run was discarded." in text(answer)
    assert not Run.objects.exists()


def test_a_runtime_without_delays_has_no_such_control(admin_client, monkeypatch):
    from openqueue.control import means

    run = make_run(status="scheduled")
    monkeypatch.setattr(means, "delays", lambda *_: False)
    assert "promote" not in buttons(text(admin_client.get(to("run_change", run))))
    assert 'value="some_promote"' not in text(admin_client.get(to("run")))


@pytest.mark.parametrize("act", ACTS)
def test_a_request_made_by_hand_without_the_right_changes_nothing(act, staff):
    run = make_run(status="failed")
    before = Run.objects.values().get()
    answer = do(staff(*VIEWER), run, act, confirmed="1")
    assert answer.status_code == 403
    assert Run.objects.values().get() == before
    assert AuditLog.objects.get().act == "refused"
