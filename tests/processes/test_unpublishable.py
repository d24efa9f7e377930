"""A row that can never be announced ends; a broker that is away fails nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from openqueue import runtimes
from openqueue.models import Outbox, Run, RunEvent
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.processes.sweeps.unpublishable import TRIES
from openqueue.runtimes.base import Message, Published
from openqueue.runtimes.memory import MemoryRuntime
from tests.store import fleet
from tests.store.fleet import Clock

pytestmark = pytest.mark.django_db


class Choosy(MemoryRuntime):
    """Refuses some messages, with one answer."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.refuses = lambda message: message.task_id != ""
        self.answer = Published(error="too large")

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        return [self.answer if self.refuses(m) else super(Choosy, self).publish([m])[0] for m in messages]


@pytest.fixture
def broker(settings) -> Choosy:
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": f"{__name__}.Choosy"}}}
    return runtimes.get("default")  # type: ignore[return-value]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def announce(clock: Clock, *, times: int) -> timedelta:
    """Try so many times, each as soon as the row's back-off is over; return how long that took."""
    began = clock.now
    for _ in range(times):
        if (row := Outbox.objects.first()) is not None:
            clock.now = row.announce_at
        Announcer().step(clock.now)
    return clock.now - began


def test_a_row_that_is_refused_again_and_again_fails_in_the_end(clock: Clock, broker: Choosy):
    run = fleet.make_run(clock, head_start=2.0)
    assert announce(clock, times=TRIES - 1) < timedelta(minutes=10)
    assert Run.objects.get().status == "queued"
    assert announce(clock, times=1) > timedelta(minutes=2)
    ended = Run.objects.get(pk=run)
    assert (ended.status, ended.reason, ended.attempt) == ("failed", "unpublishable", 0)
    assert "too large" in ended.error["message"]
    assert "retry the run" in ended.error["message"]
    assert RunEvent.objects.get(kind="failed").data["reason"] == "unpublishable"
    assert not Outbox.objects.exists()


def test_a_broker_that_takes_nothing_fails_nobody(clock: Clock, broker: Choosy):
    broker.refuses = lambda message: True
    fleet.make_run(clock, head_start=2.0)
    announce(clock, times=3 * TRIES)
    assert (Run.objects.get().status, Outbox.objects.get().last_error) == ("queued", "too large")


def test_a_broker_that_comes_back_between_two_tries_fails_nobody(clock: Clock, broker: Choosy):
    fleet.make_run(clock, head_start=2.0)
    announce(clock, times=TRIES - 1)
    tries = []
    broker.refuses = lambda message: bool(message.task_id) and not tries.append(message) and len(tries) == 1
    announce(clock, times=1)
    assert Run.objects.get().status == "queued"
    assert [len(tries), len(broker.waiting["default"])] == [2, 2], (
        "the probe, and the run's message after all"
    )


def test_an_answer_that_was_lost_fails_nobody(clock: Clock, broker: Choosy):
    broker.answer = Published(error="no answer", certain=False)
    fleet.make_run(clock, head_start=2.0)
    announce(clock, times=2 * TRIES)
    assert Run.objects.get().status == "queued"


def test_what_a_runtime_calls_hopeless_needs_no_second_opinion(clock: Clock, broker: Choosy):
    broker.answer = Published(error="no such topic, ever", refused=True)
    broker.refuses = lambda message: True
    fleet.make_run(clock, head_start=2.0)
    announce(clock, times=TRIES)
    assert Run.objects.get().reason == "unpublishable"
    assert not broker.waiting["default"], "no probe was sent"
