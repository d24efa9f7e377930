from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from openqueue.control import queue_acts, queues
from openqueue.control.actor import Actor
from openqueue.control.queue_acts import Left
from openqueue.errors import UnclearQueue, UnsupportedCapability
from openqueue.models import AuditLog, Outbox, QueueState, Run, RunEvent
from openqueue.store import store
from tests.control.builders import clock, make_run, make_worker

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
DOWN = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}
MEMORY = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}


def acts() -> list[tuple[str, str, str, str]]:
    return list(AuditLog.objects.order_by("id").values_list("act", "object", "actor", "reason"))


def test_a_paused_queue_starts_nothing_and_says_who_paused_it_and_why():
    make_run(queue="email")
    answers = queue_acts.pause(["email", "sms"], actor=ADA, reason="provider is down")
    assert answers == {"email": "paused", "sms": "paused"}
    assert store().paused() == {"email", "sms"}
    (line,) = queues.listing(["email"])
    assert (line.paused, line.paused_by, line.pause_reason) == (True, "ada", "provider is down")
    assert 0 <= line.paused_for < 60
    assert acts() == [
        ("queue.pause", "queue email", "ada", "provider is down"),
        ("queue.pause", "queue sms", "ada", "provider is down"),
    ]


def test_pausing_again_changes_nothing():
    queue_acts.pause(["email"], actor=ADA, reason="first")
    assert queue_acts.pause(["email", "email"], actor=Actor(name="bob")) == {"email": "already paused"}
    assert QueueState.objects.get().pause_reason == "first"
    assert len(acts()) == 1


def test_a_resumed_queue_is_open_and_its_due_rows_are_looked_at_at_once():
    run, later = make_run(queue="email"), make_run(queue="email", status="scheduled")
    other = make_run(queue="other")
    queue_acts.pause(["email"], actor=ADA)
    soon = clock() + timedelta(hours=1)
    Outbox.objects.update(announce_at=soon)
    assert queue_acts.resume(["email", "other"], actor=ADA) == {"email": "resumed", "other": "not paused"}
    at = dict(Outbox.objects.values_list("run_id", "announce_at"))
    assert at[run] <= clock()
    assert at[later] == at[other] == soon
    state = QueueState.objects.get(name="email")
    assert (state.paused, state.paused_at, state.paused_by, state.pause_reason) == (False, None, "", "")
    assert [act for act, *_ in acts()] == ["queue.pause", "queue.resume"]


@pytest.mark.parametrize("name", ["", "E-Mail", "a b", "-x", "x" * 64])
def test_a_name_that_no_queue_can_have_is_refused(name):
    with pytest.raises(UnclearQueue, match="names match"):
        queue_acts.pause([name], actor=ADA)
    with pytest.raises(UnclearQueue):
        queue_acts.clear(name, actor=ADA)
    assert not QueueState.objects.exists()


def test_a_name_that_nothing_bears_is_known_as_such(settings):
    settings.OPENQUEUE = {"QUEUES": {"email": {}}}
    make_run(queue="made-up")
    assert queue_acts.unknown(["email", "made-up", "default"]) == {}
    assert queue_acts.unknown(["emial"]) == {"emial": ["email"]}


def test_what_is_left_is_what_is_due_runs_and_comes_later():
    make_run(queue="email")
    make_run(queue="email", status="scheduled")
    make_run(queue="email", status="retrying")
    make_run(queue="email", status="running")
    make_run(queue="other")
    assert queue_acts.left("email") == Left(due=1, running=1, later=2)
    assert queue_acts.left("none").nothing
    assert not queue_acts.left("email").nothing


def test_a_cleared_queue_has_nothing_waiting_and_its_history_says_who_did_it():
    waiting = [make_run(queue="email", status=status) for status in ("queued", "scheduled", "retrying")]
    running, other = make_run(queue="email", status="running"), make_run()
    assert queue_acts.clear("email", actor=ADA, reason="wrong addresses") == 3
    assert {Run.objects.get(pk=run).status for run in waiting} == {"cancelled"}
    assert (Run.objects.get(pk=running).status, Run.objects.get(pk=other).status) == ("running", "queued")
    assert {e.actor for e in RunEvent.objects.filter(kind="cancelled")} == {"ada"}
    assert acts() == [("queue.clear", "queue email", "ada", "wrong addresses")]
    assert AuditLog.objects.get().after == {"cancelled": 3}
    assert queue_acts.clear("email", actor=ADA) == 0
    assert len(acts()) == 1


def test_clearing_goes_in_chunks_that_are_told_and_on_record(monkeypatch):
    monkeypatch.setattr(queue_acts, "CHUNK", 2)
    for _ in range(5):
        make_run(queue="email")
    told = []
    assert queue_acts.clear("email", actor=ADA, told=told.append) == 5
    assert told == [2, 4, 5]
    assert [one.after["cancelled"] for one in AuditLog.objects.order_by("id")] == [2, 2, 1]


def test_what_is_triggered_while_a_queue_is_cleared_stays(monkeypatch):
    monkeypatch.setattr(queue_acts, "CHUNK", 2)
    for _ in range(3):
        make_run(queue="email")
    assert queue_acts.clear("email", actor=ADA, told=lambda _: make_run(queue="email")) == 3
    assert queue_acts.left("email").due == 2


def test_a_queue_is_moved_and_the_reminder_names_the_setting(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"events": MEMORY}, "QUEUES": {"email": {"runtime": "default"}}}
    run = make_run(queue="email")
    make_run(queue="email", status="running")
    moved = queue_acts.move("email", to="events", actor=ADA, reason="bigger broker")
    assert (moved.waiting, moved.running, moved.runtime, moved.setting) == (1, 1, "events", "default")
    assert Outbox.objects.get(run_id=run).runtime == "events"
    assert acts() == [("queue.move", "queue email", "ada", "bigger broker")]
    assert AuditLog.objects.get().after == {"runtime": "events", "waiting": 1, "running": 1}
    again = queue_acts.move("email", to="events", actor=ADA)
    assert (again.waiting, again.running) == (0, 0)
    assert len(acts()) == 1


def test_a_move_to_a_runtime_that_the_settings_do_not_name_is_refused():
    make_run(queue="email")
    with pytest.raises(ImproperlyConfigured, match="has no 'events'"):
        queue_acts.move("email", to="events", actor=ADA)
    assert Outbox.objects.get().runtime == "default"


def test_a_move_that_would_lose_priorities_is_refused(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"plain": {"BACKEND": "tests.control.test_queue_acts.Plain"}}}
    make_run(queue="email")
    make_run(queue="email", priority=5)
    with pytest.raises(UnsupportedCapability, match="have a priority, and the runtime 'plain' keeps none"):
        queue_acts.move("email", to="plain", actor=ADA)
    queue_acts.clear("email", actor=ADA)
    make_run(queue="email")
    assert queue_acts.move("email", to="plain", actor=ADA).waiting == 1


class Plain:
    """A runtime without priorities."""

    def __init__(self, alias: str) -> None:
        from openqueue.runtimes.base import Capabilities

        self.alias, self.capabilities, self.carries_messages = alias, Capabilities(), True

    def close(self) -> None:
        """Nothing is open."""


def test_the_list_says_what_the_broker_holds(settings):
    from openqueue import runtimes
    from openqueue.runtimes.base import Message

    settings.OPENQUEUE = {
        "RUNTIMES": {
            "events": MEMORY,
            "down": {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}},
        },
        "QUEUES": {"email": {"runtime": "events"}, "lost": {"runtime": "down"}},
    }
    run = make_run(queue="email")
    runtimes.get("events").publish([Message(run, 1, "app.add", "email")])
    assert {line.name: line.at_broker for line in queues.listing(["email", "lost", "default"])} == {
        "email": 1, "lost": None, "default": None,
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 30])
def test_a_list_costs_the_same_however_many_queues_there_are(size, django_assert_num_queries):
    for number in range(size):
        make_run(queue=f"q{number}")
        make_run(queue=f"q{number}", status="running", worker=make_worker(queues=[f"q{number}"]))
    with django_assert_num_queries(4 + (connection.vendor != "sqlite")):
        assert len(queues.listing()) >= size


@pytest.mark.parametrize("size", [2, 50])
def test_a_move_with_its_record_costs_the_same_whatever_waits(size, settings, django_assert_max_num_queries):
    settings.OPENQUEUE = {"RUNTIMES": {"events": MEMORY}}
    for _ in range(size):
        make_run(queue="email")
    with django_assert_max_num_queries(6 if connection.vendor == "postgresql" else 14):
        queue_acts.move("email", to="events", actor=ADA)


@pytest.mark.parametrize("size", [2, 50])
def test_clearing_a_chunk_costs_the_same_whatever_is_in_it(size, django_assert_max_num_queries):
    for _ in range(size):
        make_run(queue="email")
    with django_assert_max_num_queries(10 if connection.vendor != "mysql" else 12):
        assert queue_acts.clear("email", actor=ADA) == size
