"""The pages of workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from openqueue.models import AuditLog, Worker
from tests.control.builders import clock, make_run, make_worker
from tests.workbench.people import EVIL, is_harmless, log_in, text

pytestmark = pytest.mark.django_db
ALL = reverse("admin:openqueue_worker_changelist")
SCRIPTED = {"HX-Request": "true"}


def page_of(worker: UUID) -> str:
    return reverse("admin:openqueue_worker_change", args=[worker])


def act(client: Any, worker: UUID, name: str, at: str = ALL, **fields: str) -> Any:
    return client.post(at, {"act": name, "on": str(worker), **fields}, headers=SCRIPTED)


def test_a_worker_is_listed_with_what_it_is_at(admin_client):
    worker = make_worker(queues=["default", "email"])
    make_run(status="running", worker=worker)
    page = text(admin_client.get(ALL))
    for shown in ("web-1:4711", "Active", ">add<", "1 worker with 1 of 10 slots taken.", "default", "email"):
        assert shown in page
    assert page_of(worker) in page


def test_one_of_another_release_is_marked(admin_client):
    worker = make_worker()
    Worker.objects.filter(pk=worker).update(version="0.0.9")
    page = text(admin_client.get(ALL))
    assert "≠ 0.0.9" in page
    assert "1 is not of release" in page
    assert "≠ 0.0.9" in text(admin_client.get(page_of(worker)))
    Worker.objects.filter(pk=worker).update(language="go")
    assert "≠" not in text(admin_client.get(ALL))


def test_a_lost_one_says_when_its_runs_return(admin_client):
    worker = make_worker(at=clock() - timedelta(seconds=70))
    for _ in range(3):
        make_run(status="running", worker=worker)
    page = text(admin_client.get(ALL))
    assert "40 s ago with 3 runs; they return to their queues within 6 s" in page
    assert "It is lost: nobody is there who could hear." in page
    assert 'value="quiet"' not in page


def test_one_that_is_silent_says_when_its_runs_would_return(admin_client):
    worker = make_worker(at=clock() - timedelta(seconds=25))
    make_run(status="running", worker=worker)
    assert "no heartbeat for 25 s: without one its run returns to its queue in 5 s" in text(
        admin_client.get(ALL)
    )


def test_quiet_shows_in_the_same_answer_and_is_taken_back(admin_client):
    worker = make_worker()
    page = text(act(admin_client, worker, "quiet"))
    assert "web-1:4711 takes nothing more" in page
    assert "Quiet</span>" in page
    assert "by admin, " in page
    assert 'value="resume"' in page
    assert 'value="quiet"' not in page
    assert Worker.objects.get().command == "quiet"
    page = text(act(admin_client, worker, "resume"))
    assert "web-1:4711 takes runs again." in page
    assert 'value="quiet"' in page
    assert list(AuditLog.objects.order_by("id").values_list("act", flat=True)) == [
        "worker.quiet",
        "worker.resume",
    ]


def test_stop_asks_what_becomes_of_its_runs_first(admin_client):
    worker = make_worker(queues=["default", "email"])
    make_worker(queues=["default"])
    make_run(status="running", worker=worker)
    page = text(act(admin_client, worker, "stop"))
    assert "has 25 s to end" in page
    assert "none for email" in page
    assert Worker.objects.get(pk=worker).command == ""
    page = text(act(admin_client, worker, "stop", confirmed="1", reason="leak"))
    assert "web-1:4711 stops." in page
    assert "It is stopping already." in page
    assert AuditLog.objects.get().reason == "leak"
    text(act(admin_client, worker, "quiet"), status=409)


def test_one_worker_is_shown_with_its_runs_and_what_was_asked_of_it(admin_client):
    worker = make_worker()
    runs = [make_run(status="running", worker=worker) for _ in range(5)]
    act(admin_client, worker, "quiet")
    page = text(admin_client.get(page_of(worker)))
    assert page.count("oq-body-") == len(runs)
    assert "worker.quiet" in page
    text(admin_client.get(page_of(uuid4())), status=404)


def test_one_that_has_ended_is_not_told_anything(admin_client):
    text(act(admin_client, uuid4(), "quiet"), status=409)
    text(act(admin_client, "nobody", "quiet"), status=404)  # type: ignore[arg-type]  # what anybody may send


@pytest.mark.parametrize("name", ["quiet", "resume", "stop"])
def test_without_the_right_an_act_is_absent_and_a_hand_made_one_refused(client, name):
    worker = make_worker()
    log_in(client, "view_worker")
    for at in (ALL, page_of(worker)):
        assert f'value="{name}"' not in text(client.get(at))
        text(act(client, worker, name, at, confirmed="1"), status=403)
    assert list(AuditLog.objects.values_list("actor", "act")) == [("vera", "refused")] * 2
    assert Worker.objects.get().command == ""


def test_parts_are_refused_without_the_right(client):
    worker = make_worker()
    log_in(client, "view_run")
    for at in (ALL, page_of(worker)):
        for part in ("", "?_part=workers", "?_part=worker"):
            text(client.get(at + part), status=403)


def test_who_may_not_see_runs_sees_how_many(client):
    worker = make_worker()
    make_run(status="running", worker=worker)
    log_in(client, "view_worker")
    for at in (ALL, page_of(worker)):
        page = text(client.get(at))
        assert "openqueue/run/" not in page
        assert "openqueue/queue/" not in page


def test_what_workers_say_is_shown_as_text(admin_client):
    worker = make_worker(queues=[EVIL])
    Worker.objects.update(
        host=EVIL, version=EVIL[:30], command="quiet", commanded_by=EVIL, commanded_at=clock()
    )
    for at in (ALL, page_of(worker)):
        assert is_harmless(text(admin_client.get(at)))
    assert is_harmless(text(act(admin_client, worker, "stop")))


@pytest.mark.parametrize("number", [1, 20])
def test_pages_cost_at_most_twelve_statements(client, admin_client, number, django_assert_max_num_queries):
    workers = [make_worker() for _ in range(number)]
    for worker in workers:
        make_run(status="running", worker=worker)
    log_in(client, "view_worker", "view_run", "view_queuestate", "view_auditlog", "control_worker")
    for who in (client, admin_client):
        for at in (ALL, page_of(workers[0])):
            with django_assert_max_num_queries(12):
                text(who.get(at))


def test_its_memory_is_listed_and_its_last_hour_is_drawn_with_the_numbers_behind_it(admin_client):
    silent, worker = make_worker(), make_worker()
    minute = int(clock().timestamp()) // 60
    told = [[minute - 70, 1], [minute - 3, 300 * 2**20], [minute - 2, 700 * 2**20], [minute, 200 * 2**20]]
    Worker.objects.filter(pk=worker).update(memory=200 * 2**20, memories=told)
    page = text(admin_client.get(ALL))
    assert page.count("200.0\xa0MB") == 1
    page = text(admin_client.get(page_of(worker)))
    assert "Memory in the last hour" in page
    assert '<p class="oq-under">200.0\xa0MB to 700.0\xa0MB, ' in page
    assert "Lowest 200.0\xa0MB, highest 700.0\xa0MB, last 200.0\xa0MB." in page
    behind = page.split("<caption>Memory, most in each minute", 1)[1].split("</table>", 1)[0]
    assert behind.count("<td>–</td>") == 57
    assert "Memory in the last hour" not in text(admin_client.get(page_of(silent)))
    assert "memories" not in "".join(fetched(admin_client, ALL))


def fetched(client: Any, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as sent:
        client.get(path)
    return [one["sql"] for one in sent]
