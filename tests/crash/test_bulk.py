"""An act on many runs whose worker is killed, again and again: every run is acted upon once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from uuid import UUID

import pytest
from django.db import OperationalError, connections

from openqueue.control import bulk
from openqueue.control.actor import Actor
from openqueue.core import post_commit, transitions
from openqueue.models import AuditLog, BulkOperation, Outbox, QueueState, Run, RunEvent
from openqueue.states import Reason
from tests.app.crash_tasks import quick
from tests.crash.driver import Driver, PowerCut
from tests.crash.invariants import check
from tests.crash.stage import Known, Stage, settled
from tests.eventually import eventually

pytestmark = [pytest.mark.crash, pytest.mark.sqlite_too]
ADA = Actor(name="ada")
MANY = 8_000


def failed(number: int) -> list[UUID]:
    """Make runs that have failed, in a queue from which nothing is started."""
    QueueState.objects.get_or_create(name="default", defaults={"paused": True})
    made = [run.id for run in quick.trigger_many([{}] * number)]
    for at in range(0, number, 1_000):
        places = Outbox.objects.filter(pk__in=made[at : at + 1_000]).values_list("run_id", "seq")
        transitions.refuse(list(places), reason=Reason.UNKNOWN_TASK, message="nobody knows it")
    return made


def retried(runs: Sequence[UUID]) -> Counter[UUID]:
    """Return how often each of these was begun anew."""
    return Counter(
        RunEvent.objects.filter(kind="requeued", run_id__gte=runs[0]).values_list("run_id", flat=True)
    )


@pytest.mark.mariadb_too
def test_killed_in_the_middle_another_worker_goes_on_and_retries_nothing_twice(stage: Stage):
    made = failed(MANY)
    asked = bulk.ask("retry", "status:failed", actor=ADA)
    assert asked.state == "waiting"
    for _ in range(2):
        before = bulk.show(asked.id).acted
        worker = stage.worker("--concurrency", "1")
        eventually(lambda before=before: bulk.show(asked.id).acted > before, within=30)
        worker.kill()
        assert bulk.show(asked.id).finished_at is None
    assert 0 < bulk.show(asked.id).acted < MANY
    stage.worker("--concurrency", "1")
    assert asked.run_id is not None
    assert settled(Known(asked.run_id), within=60).crash_count == 2
    done = bulk.show(asked.id)
    assert (done.state, done.acted, done.skipped) == ("done", MANY, {})
    assert retried(made) == Counter(made)
    assert set(Run.objects.filter(pk__in=made[:500]).values_list("cycle", "status")) == {(2, "queued")}


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[None]:
    """No thread that announces: it would use the database besides."""
    monkeypatch.setattr(post_commit, "put", lambda *_: None)
    yield
    connections.close_all()


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("error", [OperationalError, PowerCut])
@pytest.mark.parametrize("answered", [False, True])
def test_whichever_statement_fails_it_goes_on_where_it_was(error: type[BaseException], answered: bool):
    for at in count(1):
        made = failed(5)
        asked = bulk.ask("retry", "status:failed", actor=ADA, drives=True)
        driver = Driver(at=at, answered=answered, error=error)
        try:
            with driver.driving():
                list(bulk.drive(asked.id, batch=2))
        except (error, OperationalError):
            connections.close_all()
            list(bulk.drive(asked.id, batch=2))
        assert retried(made) == Counter(made), f"call {at}: {driver.failed_at}"
        assert bulk.show(asked.id).acted == len(made), f"call {at}: {driver.failed_at}"
        check(None)
        for model in (Outbox, RunEvent, Run, BulkOperation, AuditLog):
            model.objects.all()._raw_delete(model.objects.db)
        if driver.calls < at:  # it went through: there is no such statement
            break
    assert at > 30


@pytest.mark.usefixtures("silence")
@pytest.mark.mariadb_too
def test_two_at_once_take_turns_and_retry_nothing_twice():
    made = failed(40)
    asked = bulk.ask("retry", "status:failed", actor=ADA, drives=True)

    def work() -> None:
        list(bulk.drive(asked.id, batch=3))
        connections.close_all()

    both = [threading.Thread(target=work) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert retried(made) == Counter(made)
    assert bulk.show(asked.id).acted == len(made)
