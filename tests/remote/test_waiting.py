"""Claims that wait: answered when there is work, no longer than they may, and without a connection meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

from openqueue import trigger
from openqueue.control.remote import waiting
from openqueue.models import Worker
from tests.eventually import eventually
from tests.remote.program import TASK, Remote

pytestmark = pytest.mark.django_db(transaction=True)


class Asking(threading.Thread):
    """One request on a thread of a server."""

    def __init__(self, remote: Remote, **more: Any) -> None:
        super().__init__(daemon=True)
        self.remote, self.more = remote, more
        self.answer: dict[str, Any] = {}
        self.took = 0.0
        self.has_connection: Callable[[], bool] = lambda: True
        self.start()

    def run(self) -> None:
        own = connections["default"]
        self.has_connection = lambda: own.connection is not None
        began = time.monotonic()
        self.answer = self.remote.claimed(**{"wait": 10} | self.more)
        self.took = time.monotonic() - began
        connections.close_all()

    def waits(self) -> bool:
        return len(waiting.lookout.waiters) > 0


@pytest.fixture(autouse=True)
def _nobody_looks_any_more() -> Any:
    yield
    eventually(lambda: waiting.lookout.thread is None)


def test_it_is_answered_when_there_is_work_and_holds_no_connection_until_then(remote: Remote):
    asking = Asking(remote)
    eventually(asking.waits)
    if connection.vendor != "sqlite":  # in memory its connections are one
        assert not asking.has_connection()
    run = trigger(TASK, {"path": "a"})
    asking.join(10)
    assert [work["run"] for work in asking.answer["runs"]] == [str(run.id)]
    assert asking.took < 8


def test_it_waits_no_longer_than_it_asked_for_or_may(remote: Remote, settings: Any):
    told = remote.claimed(wait=0.2)
    assert (told["runs"], told["retry_in"]) == ([], 0.0)
    settings.OPENQUEUE = {"LONG_POLL": 0.2}
    began = time.monotonic()
    assert remote.claimed(wait=60)["runs"] == []
    assert time.monotonic() - began < 10


def test_when_too_many_wait_it_is_answered_at_once_and_told_to_come_again(remote: Remote, settings: Any):
    settings.OPENQUEUE = {"LONG_POLLS": 1}
    first = Asking(remote)
    eventually(first.waits)
    told = remote.claimed(wait=10)
    assert (told["runs"], told["retry_in"]) == ([], 1.0)
    trigger(TASK, {"path": "a"})
    first.join(10)
    assert len(first.answer["runs"]) == 1


def test_one_look_serves_all_that_wait_and_rings_for_nobody_else(
    remote: Remote, django_assert_num_queries: Any
):
    mine = waiting.Waiter(["media"], [TASK])
    others = [waiting.Waiter(["media"], ["other.task"]), waiting.Waiter(["mail"], [TASK])]
    trigger(TASK, {"path": "a"})
    with django_assert_num_queries(1):
        waiting.lookout.look([mine, *others])
    assert [waiter.bell.is_set() for waiter in (mine, *others)] == [True, False, False]


def test_a_command_that_comes_while_it_waits_is_heard_before_anything_is_given(remote: Remote):
    asking = Asking(remote)
    eventually(asking.waits)
    Worker.objects.update(command="stop")
    trigger(TASK, {"path": "a"})
    asking.join(10)
    assert (asking.answer["command"], asking.answer["runs"]) == ("stop", [])
