"""What happens to a run's announcement when its transaction commits, and when that goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from openqueue import runtimes
from openqueue.core import post_commit
from openqueue.core.post_commit import Publisher, marks
from openqueue.models import Outbox, Run
from openqueue.runtimes.base import Message, Published, decode
from openqueue.runtimes.memory import MemoryRuntime
from openqueue.store import store
from openqueue.types import Announcement
from tests.app.tasks import add
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
MEMORY = {"RUNTIMES": {"default": {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}}}


@pytest.fixture
def memory(settings) -> Any:
    settings.OPENQUEUE = MEMORY
    return runtimes.get("default")


def bodies(memory: Any) -> int:
    return sum(len(line) for line in memory.waiting.values())


def test_a_commit_has_its_runs_announced(memory: Any):
    with transaction.atomic():
        runs = add.trigger_many([{"a": n, "b": 0} for n in range(3)])
        assert bodies(memory) == 0, "nobody is told before the commit"
    eventually(lambda: bodies(memory) == 3)
    assert {run.id for run in runs} == {decode(body)[0] for body in lines(memory)}


def lines(memory: Any) -> list[bytes]:
    return [body for line in memory.waiting.values() for _, _, body in line]


def test_a_rollback_announces_nothing(memory: Any):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        add.trigger(1, 2)
        raise ZeroDivisionError
    add.trigger(3, 4)
    eventually(lambda: bodies(memory) == 1)
    assert decode(lines(memory)[0])[0] == Run.objects.get().pk


def test_what_was_published_is_marked_lazily_with_tries_nought(memory: Any, monkeypatch):
    monkeypatch.setattr(post_commit, "MARK_EVERY", 0.01)
    run = add.trigger(1, 2)
    row = eventually(lambda: Outbox.objects.filter(announced_at__isnull=False).first())
    assert (row.run_id, row.tries, row.broker_ref) == (run.id, 0, "1")
    assert 58 < (row.announce_at - row.announced_at).total_seconds() <= 60


def test_nothing_is_marked_before_it_is_out(memory: Any, monkeypatch):
    monkeypatch.setattr(post_commit, "MARK_EVERY", 0.0)
    publish, seen = memory.publish, []

    def watched(messages: Sequence[Message]) -> Sequence[Published]:
        seen.append((list(post_commit.publisher.marks), Outbox.objects.get().announced_at))
        return publish(messages)

    monkeypatch.setattr(memory, "publish", watched)
    add.trigger(1, 2)
    eventually(lambda: Outbox.objects.filter(announced_at__isnull=False).exists())
    assert seen == [([], None)]


class Broken(MemoryRuntime):
    """A broker that raises, as whatever its client raises."""

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        raise OSError("the broker is gone")


def test_a_broker_that_is_down_leaves_the_row_to_the_sweep_and_the_caller_in_peace(settings, caplog):
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": f"{__name__}.Broken"}}}
    add.trigger(1, 2)
    eventually(lambda: [record.message for record in caplog.records])
    assert caplog.records[0].message == "could not publish on commit, left to the sweep"
    row = Outbox.objects.get()
    assert (row.announced_at, row.tries) == (None, 0)
    assert post_commit.publisher.thread is not None
    assert post_commit.publisher.thread.is_alive(), "and goes on with the next commit"


def test_a_full_queue_of_batches_is_left_to_the_sweep(monkeypatch):
    monkeypatch.setattr(post_commit, "CAPACITY", 2)
    publisher = Publisher()
    publisher.thread = threading.current_thread()  # nobody takes anything
    for _ in range(5):
        publisher.put(("default", []))
    assert publisher.batches.qsize() == 2


def test_one_step_publishes_all_that_has_gathered_in_one_call_a_runtime(memory: Any, monkeypatch):
    calls = []
    publish = memory.publish
    monkeypatch.setattr(memory, "publish", lambda messages: calls.append(len(messages)) or publish(messages))
    message = Message(uuid4(), 1, "t", "default")
    assert Publisher().step([("default", [message]), ("default", [message, message])]) == 3
    assert calls == [3]


def test_a_mark_never_overwrites_a_newer_announcement(memory: Any, monkeypatch):
    monkeypatch.setattr(post_commit, "MARK_EVERY", 0.01)
    run = add.trigger(1, 2)
    # Else the publisher's own mark comes in between.
    eventually(lambda: Outbox.objects.get().broker_ref is not None)
    Outbox.objects.update(tries=1, broker_ref=None)
    assert store().mark_announced([(run.id, 1, 0, "old", None, 60.0)]) == 0
    assert store().mark_announced([(run.id, 2, 1, "other seq", None, 60.0)]) == 0
    assert Outbox.objects.get().broker_ref is None
    assert store().mark_announced([(run.id, 1, 1, "new", None, 60.0)]) == 1
    assert Outbox.objects.get().broker_ref == "new"


@pytest.mark.parametrize(
    ("answer", "tried", "wait"),
    [
        (Published(ref="r"), 0, 60),
        (Published(ref="r"), 1, 60),
        (Published(ref="r"), 2, 120),
        (Published(ref="r"), 50, 900),
        (Published(error="refused"), 1, None),
        (Published(error="lost", certain=False), 3, 60),
    ],
)
def test_how_long_an_announcement_is_trusted(answer: Published, tried: int, wait: float | None):
    message = Message(uuid4(), 4, "t", "q")
    leased = Announcement(message.run_id, 4, 30 + tried, 1, "t", "default", "q", 0, unheard=tried)
    ((run, seq, tries, ref, error, told),) = marks([message], [answer], [leased])
    assert (run, seq, tries, ref, error, told) == (
        message.run_id,
        4,
        30 + tried,
        answer.ref,
        answer.error,
        wait,
    )


def test_a_publisher_marks_what_nobody_has_leased():
    message = Message(uuid4(), 4, "t", "q")
    assert marks([message], [Published(ref="r")]) == [(message.run_id, 4, 0, "r", None, 60.0)]


def test_a_child_process_has_a_publisher_of_its_own():
    before = post_commit.publisher
    post_commit.after_fork()
    assert post_commit.publisher is not before
    assert post_commit.publisher.thread is None
