"""Announcements before their time: what is due soon is handed to brokers that keep the time as well."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from openqueue import runtimes
from openqueue.core import ahead, post_commit, transitions
from openqueue.core.post_commit import GRACE, Publisher, marks
from openqueue.models import Outbox, Run
from openqueue.runtimes.base import Capabilities, Message, Published
from openqueue.runtimes.memory import MemoryRuntime
from tests.app.tasks import add
from tests.eventually import eventually
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = pytest.mark.django_db(transaction=True)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Patient(MemoryRuntime):
    """A broker that says it holds messages for five seconds, and notes what it is given."""

    capabilities = Capabilities(ahead=5.0, priorities="native")

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.given: list[tuple[Message, float]] = []

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        now = time.monotonic()
        self.given += [(message, message.due - now) for message in messages]
        return [Published(ref="held")] * len(messages)


@pytest.fixture
def patient(settings: Any) -> Any:
    settings.OPENQUEUE = {
        "RUNTIMES": {
            "default": {"BACKEND": f"{__name__}.Patient"},
            "plain": {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"},
        }
    }
    return runtimes.get("default")


def given(patient: Any) -> Any:
    """Return the one message it was given, and how many seconds that was before its time."""
    ((message, wait),) = eventually(lambda: patient.given)
    return message, wait


@pytest.mark.parametrize("kind", ["delay", "run_at"])
def test_what_is_due_soon_is_announced_on_commit_with_its_moment(patient: Any, kind: str):
    options: Any = {"delay": 4} if kind == "delay" else {"run_at": datetime.now(UTC) + timedelta(seconds=4)}
    run = add.using(**options).trigger(1, 2)
    message, wait = given(patient)
    assert (message.run_id, message.seq) == (run.id, 1)
    assert 2 < wait <= 4


def test_time_that_the_transaction_took_is_not_waited_for_again(patient: Any):
    with transaction.atomic():
        add.using(delay=1).trigger(1, 2)
        until = time.monotonic() + 0.3
        eventually(lambda: time.monotonic() > until)
    assert given(patient)[1] < 0.75


def test_what_is_due_beyond_the_broker_s_reach_waits_in_the_database_alone(patient: Any):
    add.using(delay=6).trigger(1, 2)
    add.using(run_at=datetime.now(UTC) + timedelta(seconds=60)).trigger(1, 2)
    run = add.trigger(3, 4)
    message, _ = given(patient)
    assert (message.run_id, message.due) == (run.id, 0.0)


def test_what_is_on_its_way_is_marked_at_once_and_looked_at_when_it_should_be_there(patient: Any):
    run = add.using(delay=4).trigger(1, 2)
    row = eventually(lambda: Outbox.objects.filter(announced_at__isnull=False).first())
    assert (row.tries, row.broker_ref, row.ready) == (0, "held", False)
    assert row.due_at == Run.objects.get(pk=run.id).scheduled_for
    assert GRACE <= (row.announce_at - row.due_at).total_seconds() < GRACE + 1


@pytest.mark.parametrize("certain", [True, False])
def test_what_the_broker_did_not_take_is_looked_at_when_it_is_due(certain: bool):
    message = Message(fleet.uuid7(), 4, "t", "q", due=1.0)
    ((*_, wait),) = marks([message], [Published(error="full", certain=certain)])
    assert wait is None


def put_back(delay: float, **facts: Any) -> Any:
    """Create a run, claim it, and settle it to be tried again; return its id. By the database's clock."""
    clock = Clock()
    run = fleet.make_run(clock, **facts)
    worker = FakeWorker(clock)
    (attempt,) = worker.claim_named((run, 1)).claimed
    transitions.settle([fleet.retries(attempt, delay)])
    return run


def test_a_retry_is_announced_as_its_row_says(patient: Any):
    run = put_back(4, priority=7, traceparent=TRACE, queue="mail")
    post_commit.announce_ahead([(run, 4.0)])
    message, wait = given(patient)
    assert message._replace(due=0.0) == Message(run, 3, fleet.TASK, "mail", 2, 7, TRACE)
    assert 2 < wait <= 4


def test_a_retry_beyond_the_reach_of_every_broker_asks_the_database_nothing(patient: Any):
    assert ahead.soon([(fleet.uuid7(), 5.5)]) == []


def test_on_a_runtime_that_holds_nothing_nothing_is_asked_or_told(patient: Any, settings: Any):
    run = put_back(4, runtime="plain")
    assert ahead.put_back([run]) == {}
    del settings.OPENQUEUE["RUNTIMES"]["default"]
    settings.OPENQUEUE = {"RUNTIMES": {"default": settings.OPENQUEUE["RUNTIMES"]["plain"]}}
    with CaptureQueriesContext(connection) as asked:
        post_commit.announce_ahead([(run, 0.0)])
    assert len(asked) == 0
    assert post_commit.publisher.thread is None


def test_a_database_that_fails_leaves_it_to_the_sweeps_and_the_rest_goes_out(
    patient: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def away(runs: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(ahead, "put_back", away)
    message = Message(fleet.uuid7(), 1, "t", "default")
    assert Publisher().step([[fleet.uuid7()], ("default", [message])]) == 1
    assert caplog.records[0].message == "could not announce, left to the sweeps"
