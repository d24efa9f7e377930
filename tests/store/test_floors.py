"""Claims that begin past the places of rows that are gone: they give what claims from the beginning give."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection, transaction

from openqueue.core import transitions
from openqueue.ids import uuid7
from openqueue.models import Outbox
from openqueue.store import floors, store
from openqueue.store.floors import Floors
from openqueue.types import ClaimRequest, NewRun
from tests.servers import databases

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]
Look = Callable[[], None]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """Every claim counts as slow, every look as dear, and the next look comes when the test says so."""
    monkeypatch.setattr(floors, "SLOW", -1.0)
    monkeypatch.setattr(floors, "CHEAP", -1.0)
    monkeypatch.setattr(floors, "EVERY", 3600.0)
    monkeypatch.setattr(floors, "MARGIN", timedelta(0))

    def due() -> None:
        here().look_at = 0.0

    yield due
    store().floors.clear()


def here() -> Floors:
    found: Floors = store().floors["default"]  # type: ignore[attr-defined]  # PostgreSQL's store
    return found


def make(*, priority: int = 0, queue: str = "default") -> UUID:
    run = NewRun(
        id=uuid7(),
        task_id="t",
        queue=queue,
        runtime="default",
        priority=priority,
        payload="{}",
        max_attempts=1,
    )
    store().create([run])
    return run.id


def claim(limit: int, **rooms: int) -> list[UUID]:
    request = ClaimRequest(worker_id=uuid4(), token=uuid4(), known=["t"])
    asked = rooms or {"default": limit}
    done = transitions.claim_due(request, runtime="default", rooms=asked, limit=limit)
    return [attempt.run_id for attempt in done.claimed]


def test_a_claim_begins_at_the_floor_and_finds_what_comes_after_it(look: Look):
    first = make()
    assert claim(1) == [first]
    assert [priority for priority, _ in here().floors["default"]] == [0]
    later = [make() for _ in range(3)]
    assert claim(10) == later


def test_priorities_come_first_whether_they_are_known_or_not(look: Look):
    claimed = [make(priority=5), make(priority=-5)]
    assert claim(2) == claimed
    assert [priority for priority, _ in here().floors["default"]] == [5, -5]
    runs = {priority: make(priority=priority) for priority in (-100, -5, 0, 5, 100)}
    assert claim(3) == [runs[100], runs[5], runs[0]]
    assert claim(3) == [runs[-5], runs[-100]]


def test_each_queue_gives_what_it_has_room_for_over_all_its_priorities(look: Look):
    for priority, queue in ((5, "a"), (0, "a"), (0, "b")):
        make(priority=priority, queue=queue)
    assert len(claim(10, a=10, b=10)) == 3
    for priority in (9, 5, 2, 0):
        make(priority=priority, queue="a")
        make(priority=priority, queue="b")
    assert len(claim(10, a=2, b=3)) == 5
    assert sorted(Outbox.objects.values_list("queue", "priority")) == [("a", 0), ("a", 2), ("b", 0)]


def test_a_row_that_was_committed_late_is_found_with_the_next_look(look: Look):
    with other_session() as raw:
        raw.execute("BEGIN")
        late = make_by(raw)
        on_time = make()
        assert claim(1) == [on_time]
        raw.execute("COMMIT")
    assert claim(1) == [], "it lies in front of the floor"
    look()
    assert claim(1) == [], "this claim looks when it is done"
    assert claim(1) == [late]


def test_a_row_whose_claim_is_undone_lies_behind_no_floor(look: Look):
    first, second = make(), make()
    with other_session() as raw:
        raw.execute("BEGIN")
        raw.execute("DELETE FROM openqueue_outbox WHERE run_id = %s", [first])
        assert claim(1) == [second]
        raw.execute("ROLLBACK")
    assert claim(1) == [first]


def test_a_look_that_fails_loses_no_claim(look: Look, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(store(), "first_due", fails)
    run = make()
    assert claim(1) == [run]
    assert here().floors == {}


def test_inside_a_transaction_of_the_caller_claims_begin_at_the_beginning(look: Look):
    make()
    assert claim(1)
    assert here().floors
    with transaction.atomic():
        old = make()
        Outbox.objects.update(due_at="2001-01-01T00:00:00Z", announce_at="2001-01-01T00:00:00Z")
        assert claim(1) == [old]


def test_where_there_is_nothing_to_walk_past_floors_are_taken_back(
    look: Look, monkeypatch: pytest.MonkeyPatch
):
    make()
    claim(1)
    assert here().floors
    monkeypatch.setattr(floors, "CHEAP", 3600.0)
    look()
    claim(1)
    assert here().floors == {}


def test_any_mixture_is_claimed_in_order_and_whole(look: Look):
    chance = random.Random(7)
    waiting: dict[UUID, tuple[int, int]] = {}
    for number in range(300):
        if chance.random() < 0.6:
            priority = chance.choice([0, 0, 0, 3, -3, chance.randrange(-100, 100)])
            waiting[make(priority=priority)] = (-priority, number)
        else:
            wanted = sorted(waiting, key=lambda run: waiting[run])[: chance.randrange(1, 4)]
            assert claim(len(wanted) or 1) == wanted
            for run in wanted:
                del waiting[run]
        if chance.random() < 0.2:
            look()


def other_session() -> Any:
    import psycopg

    at = databases.address()
    return psycopg.connect(
        host=at.hostname,
        port=at.port,
        user=at.username,
        password=at.password,
        dbname=connection.settings_dict["NAME"],
        autocommit=True,
    )


def make_by(raw: Any) -> UUID:
    """Move a run's row into the open transaction of another session."""
    made = make()
    Outbox.objects.filter(pk=made).delete()
    raw.execute(
        "INSERT INTO openqueue_outbox (run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready,"
        " announce_at, tries) VALUES (%s, 1, 1, 't', 'default', 'default', 0, statement_timestamp(), true,"
        " statement_timestamp(), 0)",
        [made],
    )
    return made
