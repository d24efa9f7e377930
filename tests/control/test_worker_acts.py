from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue.control import worker_acts, workers
from openqueue.control.actor import Actor
from openqueue.errors import UnclearWorker
from openqueue.models import AuditLog, Worker
from openqueue.store import store, wishes
from tests.control.builders import clock, make_run, make_worker

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")


def acts() -> list[tuple[str, str, str]]:
    return list(AuditLog.objects.order_by("id").values_list("act", "object", "reason"))


def test_a_worker_is_told_to_be_quiet_and_to_go_on_and_both_are_on_record():
    worker, other = make_worker(), make_worker()
    assert worker_acts.quiet([worker], actor=ADA, reason="deploy") == {worker: "asked"}
    assert wishes.heard(store(), worker) == (set(), ("quiet", ""))
    assert wishes.heard(store(), other) == (set(), ("", ""))
    facts = {w.id: w for w in workers.listing()}[worker]
    assert (facts.state, facts.command, facts.command_by) == ("running", "quiet", "ada")
    assert not facts.serves("default", runtime="default")
    wishes.show(store(), worker, command="quiet")
    assert {w.id: w.state for w in workers.listing()} == {worker: "quiet", other: "running"}
    assert worker_acts.quiet([worker], actor=ADA) == {worker: "already asked"}
    assert worker_acts.resume([worker, other], actor=ADA) == {worker: "asked", other: "not quiet"}
    assert wishes.heard(store(), worker)[1] == ("", "quiet")
    assert acts() == [
        ("worker.quiet", f"worker {worker}", "deploy"),
        ("worker.resume", f"worker {worker}", ""),
    ]
    assert AuditLog.objects.first().before == {"command": "quiet"}


def test_who_stops_is_not_told_anything_else():
    by_act, by_signal = make_worker(), make_worker()
    Worker.objects.filter(pk=by_signal).update(state="stopping")
    assert worker_acts.stop([by_act], actor=ADA) == {by_act: "asked"}
    both = [by_act, by_signal]
    assert worker_acts.quiet(both, actor=ADA) == dict.fromkeys(both, "stopping")
    assert worker_acts.resume(both, actor=ADA) == {by_act: "stopping", by_signal: "not quiet"}
    assert worker_acts.stop(both, actor=ADA) == {by_act: "already asked", by_signal: "stopping"}
    assert len(acts()) == 1


@pytest.mark.parametrize("state", ["lost", "stopped", "never there"])
def test_a_worker_that_is_gone_is_told_nothing(state):
    worker = uuid4() if state == "never there" else make_worker()
    Worker.objects.update(state=state)
    for act in (worker_acts.quiet, worker_acts.resume, worker_acts.stop):
        assert act([worker], actor=ADA) == {worker: "gone"}
    assert acts() == []
    assert not Worker.objects.exclude(command="").exists()
    assert wishes.heard(store(), worker)[1] is None


def test_workers_are_meant_by_id_the_beginning_of_it_or_their_process():
    first = make_worker()
    assert [w.id for w in worker_acts.chosen([str(first)[:6], str(first), "web-1:4711"])] == [first]
    for nobody in ("web-2:4711", str(uuid4()), str(first)[:3], ""):
        with pytest.raises(UnclearWorker, match="openqueue_workers list"):
            worker_acts.chosen([nobody])
    make_worker()
    with pytest.raises(UnclearWorker, match="2 workers"):
        worker_acts.chosen(["web-1:4711"])


def test_a_process_whose_earlier_incarnation_was_lost_is_meant_as_it_is_now():
    lost, now = make_worker(), make_worker()
    Worker.objects.filter(pk=lost).update(state="lost")
    assert [w.id for w in worker_acts.chosen(["web-1:4711"])] == [now]


def test_all_of_a_queue_or_of_a_host_are_meant_together():
    both, mail, lost = make_worker(queues=["default", "mail"]), make_worker(queues=["mail"]), make_worker()
    Worker.objects.filter(pk=mail).update(host="web-2")
    Worker.objects.filter(pk=lost).update(state="lost")

    def meant(**which):
        return {worker.id for worker in worker_acts.chosen(**which)}

    assert meant(queue="mail") == {both, mail}
    assert meant(queue="default") == {both}
    assert meant(host="web-2") == {mail}
    assert meant(queue="default", host="web-2") == set()
    assert meant(everybody=True) == {both, mail}
    assert meant() == set()


def test_the_list_tells_what_each_runs_in_as_many_statements_whatever_their_number(monkeypatch):
    monkeypatch.setattr(workers, "MOST_BODIES", 2)
    quick, busy = make_worker(), make_worker()
    make_run(status="running", worker=quick)
    runs = [make_run(status="running", worker=busy, at=clock() - timedelta(minutes=n)) for n in (3, 2, 1)]
    with CaptureQueriesContext(connection) as told:
        listed = {worker.id: worker for worker in workers.listing()}
    assert [body.run_id for body in listed[busy].bodies] == runs[:2]
    assert (listed[busy].claims, len(listed[quick].bodies)) == (3, 1)
    assert 175 < listed[busy].bodies[0].seconds < 240
    first = len(told)
    for _ in range(5):
        make_run(status="running", worker=make_worker())
    with CaptureQueriesContext(connection) as told:
        workers.listing()
    assert len(told) == first


def test_an_incarnation_begins_with_what_its_process_follows():
    from openqueue.types import Incarnation

    again = Incarnation(
        id=uuid4(), host="web-1", pid=1, version="1", runtimes=[], queues=[], slots=1, command="quiet"
    )
    store().register(again, lease=timedelta(seconds=30))
    assert wishes.heard(store(), again.id)[1] == ("quiet", "quiet")
