"""Many wait for the ends of runs, and one thread looks for them all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from openqueue import TaskFailed, WaitTimeout
from openqueue.core import cancellation, transitions, waiting
from openqueue.models import Run
from openqueue.store import store, waking
from openqueue.types import Claimed
from tests.app.tasks import add
from tests.eventually import eventually
from tests.store.fleet import Clock, FakeWorker, completes, fails

pytestmark = pytest.mark.django_db(transaction=True)


def is_told() -> bool:
    """Tell whether who settles knows that this process waits."""
    bell = waiting.looker.bell
    return bell is not None and bell.is_told


@pytest.fixture
def work() -> FakeWorker:
    """A worker on the database's own clock."""
    clock = Clock()
    clock.now = None  # type: ignore[assignment]  # the database's
    return FakeWorker(clock, known=[add.id])


@pytest.fixture
def aside() -> Iterator[Callable[..., Any]]:
    """Do something in a thread with a connection of its own; returns its future."""
    with ThreadPoolExecutor(40) as pool:

        def aside(act: Callable[[], Any]) -> Any:
            def alone() -> Any:
                try:
                    return act()
                finally:
                    connections.close_all()

            return pool.submit(alone)

        yield aside


def waits(*runs: Any) -> None:
    eventually(lambda: {run.id for run in runs} <= set(waiting.looker.wakers))


def claim(work: FakeWorker, number: int = 1) -> list[Claimed]:
    return sorted(work.claim(number), key=lambda attempt: attempt.run_id)


def end(attempts: list[Claimed], how: Callable[[Claimed], Any] = completes) -> None:
    transitions.settle([how(attempt) for attempt in attempts])


def test_two_that_wait_for_one_run_get_its_one_result(work: FakeWorker, aside: Any):
    run, again = (add.using(dedupe_key="k").trigger(1, 2) for _ in range(2))
    first, second = aside(lambda: run.wait(20)), aside(lambda: again.wait(20))
    eventually(lambda: len(waiting.looker.wakers.get(run.id, [])) == 2)
    end(claim(work))
    assert first.result() == second.result() == 1
    assert Run.objects.count() == 1


def test_many_are_looked_for_with_one_question_and_one_connection(
    work: FakeWorker, aside: Any, monkeypatch: Any
):
    asked, threads = [], set()
    look = waking.ended

    def ended(place: Any, runs: Any) -> Any:
        asked.append(len(runs))
        threads.add(threading.current_thread())
        return look(place, runs)

    monkeypatch.setattr(waking, "ended", ended)
    runs = [add.trigger(n, 0) for n in range(30)]
    futures = [aside(lambda run=run: run.wait(20)) for run in runs]
    waits(*runs)
    eventually(lambda: asked[-1] == 30)
    assert len(threads) == 1
    end(claim(work, 30))
    assert [future.result() for future in futures] == [1] * 30
    eventually(lambda: waiting.looker.thread is None)  # nobody waits: neither thread nor connection stay
    assert not waiting.looker.wakers


def test_how_it_ended_is_raised_and_a_timeout_leaves_the_run_alone(work: FakeWorker, aside: Any):
    failed, cancelled, slow = (add.trigger(n, 0) for n in range(3))
    futures = [aside(lambda run=run: run.wait(20)) for run in (failed, cancelled)]
    waits(failed, cancelled)
    with pytest.raises(WaitTimeout):
        slow.wait(0.05)
    cancellation.cancel([cancelled.id], actor="ada")
    attempts = claim(work, 3)
    end([attempt for attempt in attempts if attempt.run_id == failed.id], fails)
    for future, status in zip(futures, ("failed", "cancelled"), strict=True):
        with pytest.raises(TaskFailed) as raised:
            future.result()
        assert raised.value.status == status
    assert slow.refresh().status == "running"


def test_a_run_that_is_not_there_is_not_waited_for(aside: Any):
    run = add.trigger(1, 2)
    future = aside(lambda: run.wait(20))
    waits(run)
    Run.objects.all().delete()
    with pytest.raises(Run.DoesNotExist):
        future.result()


def test_coroutines_wait_without_holding_their_loop(work: FakeWorker, aside: Any):
    runs = [add.trigger(n, 0) for n in range(5)]
    ticks = 0

    async def all_of_them() -> list[int]:
        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.ensure_future(tick())
        results = await asyncio.gather(*(run.aresult(20) for run in runs))
        ticking.cancel()
        return list(results)

    future = aside(lambda: asyncio.run(all_of_them()))
    waits(*runs)
    before = ticks
    eventually(lambda: ticks > before + 3)
    end(claim(work, 5))
    assert future.result() == [1] * 5


def test_who_waits_looks_for_themselves_while_the_shared_look_fails(
    work: FakeWorker, aside: Any, monkeypatch: Any
):
    monkeypatch.setattr(waking, "ended", broken)
    run = add.trigger(1, 2)
    future = aside(lambda: run.wait(20))
    eventually(lambda: waiting.looker.failed or waiting.looker.thread)
    end(claim(work))
    assert future.result() == 1


def broken(*_: Any) -> Any:
    from django.db import OperationalError

    raise OperationalError("server closed the connection unexpectedly")


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def notified(act: Callable[[], None]) -> int:
    """Return how many notifications of ends another session hears meanwhile."""
    raw = connections.create_connection("default")
    raw.ensure_connection()
    try:
        raw.connection.execute(f'LISTEN "{waking.CHANNEL}"')
        act()
        return len(list(raw.connection.notifies(timeout=0.3)))
    finally:
        raw.close()


@pytest.mark.postgresql
def test_nothing_is_notified_while_nobody_waits(work: FakeWorker, aside: Any):
    assert notified(lambda: waking.tell(store())) == 0
    run = add.trigger(1, 2)
    future = aside(lambda: run.wait(20))
    waits(run)
    eventually(is_told)
    assert notified(lambda: waking.tell(store())) == 1
    end(claim(work))
    assert future.result() == 1
    eventually(lambda: waiting.looker.thread is None)
    assert notified(lambda: waking.tell(store())) == 0


@pytest.mark.postgresql
def test_a_notification_comes_before_the_next_look(work: FakeWorker, aside: Any, monkeypatch: Any):
    monkeypatch.setattr(waiting, "LISTENING", 20.0)
    run = add.trigger(1, 2)
    future = aside(lambda: run.wait(30))
    waits(run)
    eventually(is_told)
    began = time.monotonic()
    end(claim(work))
    waking.tell(store())
    assert future.result() == 1
    assert time.monotonic() - began < 5


@pytest.mark.postgresql
def test_a_connection_that_is_cut_while_it_listens_is_replaced(work: FakeWorker, aside: Any):
    run = add.trigger(1, 2)
    future = aside(lambda: run.wait(20))
    waits(run)
    eventually(is_told)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [waiting.looker.bell.listening_on.info.backend_pid])
    eventually(lambda: waiting.looker.failed)
    end(claim(work))
    assert future.result() == 1


@pytest.mark.postgresql
def test_behind_pgbouncer_in_transaction_mode_it_looks(work: FakeWorker, aside: Any, monkeypatch: Any):
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    run = add.trigger(1, 2)
    future = aside(lambda: run.wait(20))
    waits(run)
    end(claim(work))
    assert future.result() == 1
    assert not waking.can_listen(connection)
