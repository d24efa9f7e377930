from __future__ import annotations

import os
import sys
import threading
import time
import timeit
import uuid

import pytest

from openqueue import ids
from openqueue.ids import uuid7


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told otherwise; the ids of the real one are left behind."""
    readings = {"ns": (time.time_ns() // 10**6 + 10_000) * 10**6}
    monkeypatch.setattr(ids.time, "time_ns", lambda: readings["ns"])
    monkeypatch.setattr(ids, "_last", 0)
    return readings


def millisecond(value: uuid.UUID) -> int:
    return value.int >> 80


def test_an_id_is_a_version_7_uuid_of_the_rfc_variant():
    made = uuid7()

    assert type(made) is uuid.UUID
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert uuid.UUID(str(made)) == made


def test_an_id_carries_its_millisecond(clock):
    assert millisecond(uuid7()) == clock["ns"] // 10**6


def test_ids_of_one_millisecond_rise_strictly(clock):
    made = [uuid7() for _ in range(5_000)]

    assert made == sorted(set(made))
    assert {millisecond(one) for one in made} == {clock["ns"] // 10**6}


def test_ids_rise_when_the_clock_steps_back(clock):
    before = uuid7()
    clock["ns"] -= 3_600 * 10**9

    assert uuid7() > before


def test_a_later_millisecond_starts_a_fresh_counter(clock):
    first = uuid7()
    clock["ns"] += 10**6
    second = uuid7()

    assert millisecond(second) == millisecond(first) + 1


def test_a_counter_that_runs_over_moves_into_the_next_millisecond(clock, monkeypatch):
    now = clock["ns"] // 10**6
    monkeypatch.setattr(ids, "_last", (now << ids.COUNTER_BITS) | ((1 << ids.COUNTER_BITS) - 1))

    made = uuid7()

    assert millisecond(made) == now + 1
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


@pytest.fixture
def _hasty_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_never_share_an_id_and_each_sees_them_rise():
    made: list[list[uuid.UUID]] = [[] for _ in range(8)]
    start = threading.Barrier(len(made))

    def draw(mine: list[uuid.UUID]) -> None:
        start.wait()
        mine.extend(uuid7() for _ in range(2_000))

    threads = [threading.Thread(target=draw, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(mine == sorted(mine) for mine in made)
    assert len({one for mine in made for one in mine}) == 16_000


def first_ids_of_a_child(count: int) -> list[uuid.UUID]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        os.write(writing, b"".join(uuid7().bytes for _ in range(count)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sent = pipe.read()
    os.waitpid(child, 0)
    return [uuid.UUID(bytes=sent[at : at + 16]) for at in range(0, len(sent), 16)]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_above_its_parent_with_a_counter_of_its_own(clock):
    before = uuid7()
    first, second = first_ids_of_a_child(2), first_ids_of_a_child(2)
    after = uuid7()

    assert first == sorted(first)
    assert first[0] > before
    # without the reseed all three would count on from `before`, and only 32 bits would keep them apart
    counters = [one.int >> 32 for one in (first[0], second[0], after)]
    assert len(set(counters)) == 3
    tails = [one.int & 0xFFFFFFFF for one in (first[0], second[0], after)]
    assert len(set(tails)) == 3


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_while_the_lock_was_held_still_makes_ids():
    with ids._lock:
        assert len(first_ids_of_a_child(1)) == 1


def test_seeding_random_does_not_repeat_ids(clock, monkeypatch):
    import random

    random.seed(7)
    first = uuid7()
    monkeypatch.setattr(ids, "_last", 0)
    random.seed(7)

    assert uuid7() != first


def test_an_id_costs_no_more_than_two_random_ones():
    """A ratio, for a machine may be slow or busy."""
    ours, random = [], []
    for _ in range(25):
        ours += timeit.repeat(uuid7, timer=time.thread_time, number=500, repeat=1)
        random += timeit.repeat(uuid.uuid4, timer=time.thread_time, number=500, repeat=1)

    assert min(ours) < 2 * min(random)
