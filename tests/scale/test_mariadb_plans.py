"""What each statement may look at on MariaDB: as much as its batch, whatever the size of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from openqueue.control import run_list
from openqueue.control.run_list import Wanted
from openqueue.core import transitions
from openqueue.models import Outbox, Run
from openqueue.states import Status
from openqueue.store import store
from openqueue.types import Claimed, ClaimRequest, Incarnation
from tests.scale import mariadb
from tests.scale.history import QUEUES, TASK, working_on
from tests.scale.mariadb import Look, looking
from tests.servers import databases

pytestmark = [pytest.mark.scale, pytest.mark.mariadb]

BATCH = 50
ROWS = 12
"""Rows that the statements of a verb may look at for each row of its batch."""
SIZES = {
    "large": {"finished": 200_000, "due": 30_000, "delayed": 100_000},
    "small": {"finished": 20, "due": 90, "delayed": 30},
}


@pytest.fixture(scope="session")
def made(django_db_blocker: Any) -> Iterator[Callable[[str], str]]:
    names: list[str] = []

    def make(size: str) -> str:
        name = f"openqueue_scale_{size}"
        if name not in names:
            names.append(name)
            mariadb.make(name, **SIZES[size])
        return name

    with django_db_blocker.unblock():
        yield make
        for name in names:
            databases.server().ask(f"DROP DATABASE {name}")


@pytest.fixture(params=SIZES, autouse=True)
def database(request: pytest.FixtureRequest, made: Callable[[str], str]) -> Iterator[str]:
    with working_on(made(request.param)) as name:
        yield name


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def look_of(act: Callable[[], Any], *, before: Callable[[], Any] = lambda: None) -> Look:
    """Return what an act looked at; what it did, and what led there, is undone."""
    with undone():
        before()
        with looking() as look:
            act()
    assert look.plans
    return look


def assert_bounded(look: Look, *, rows: int = BATCH) -> None:
    assert look.rows <= ROWS * max(rows, 10), look
    assert not look.walked, look
    assert not look.sorted_big, look


def claim(*queues: str, limit: int = BATCH) -> list[Claimed]:
    request = ClaimRequest(worker_id=uuid4(), token=uuid4(), known=[TASK, "test.other"])
    rooms = dict.fromkeys(queues or QUEUES[:1], limit)
    return list(store().claim_due(request, runtime="default", rooms=rooms, limit=limit).claimed)


@pytest.mark.parametrize("queues", [QUEUES[:1], QUEUES], ids=["one queue", "three queues"])
def test_a_claim_of_due_rows_looks_at_its_batch_only(queues: tuple[str, ...]) -> None:
    limit = 20  # of the three branches' rows, as many are picked
    assert_bounded(look_of(lambda: claim(*queues, limit=limit)), rows=limit)


def test_a_claim_takes_the_highest_priority_first_and_no_row_that_is_not_due() -> None:
    with undone():
        ids = [attempt.run_id for attempt in claim(*QUEUES, limit=10)]
        assert set(Run.objects.filter(pk__in=ids).values_list("priority", flat=True)) == {40}


def test_a_claim_by_name_looks_at_its_messages_only() -> None:
    named = list(Outbox.objects.filter(ready=True).values_list("run_id", "seq")[:BATCH])
    request = ClaimRequest(worker_id=uuid4(), token=uuid4(), known=[TASK])
    assert_bounded(look_of(lambda: store().claim_named(request, announcements=named)))


@pytest.mark.parametrize("ending", ["completed", "retrying"])
def test_a_settle_looks_at_its_attempts_only(ending: str) -> None:
    attempts: list[Claimed] = []

    def outcome(attempt: Claimed) -> Any:
        if ending == "completed":
            return transitions.completed(attempt, result='"done"', age=0.01)
        return transitions.retrying(
            attempt, reason=transitions.Reason.ERROR, error={}, delay=1.0, backoff="fixed", age=0.01
        )

    def settle() -> None:
        assert len(store().settle([outcome(attempt) for attempt in attempts])) == BATCH

    assert_bounded(look_of(settle, before=lambda: attempts.extend(claim(*QUEUES))))


def test_a_lease_of_announcements_and_its_marks_look_at_their_batch_only() -> None:
    def lease() -> None:
        leased = store().lease_announcements(runtime="default", rooms=dict.fromkeys(QUEUES, 20))
        store().mark_announced([(a.run_id, a.seq, a.tries, None, None, 60.0) for a, _, _ in leased])

    assert_bounded(look_of(lease), rows=60)


def test_the_queues_of_the_outbox_are_found_without_walking_it() -> None:
    assert_bounded(look_of(lambda: store().outbox_queues(runtime="default")), rows=len(QUEUES))


def test_rows_fall_due_without_a_look_at_the_others() -> None:
    assert_bounded(look_of(lambda: store().flip_ready(limit=20)), rows=1)
    hours = datetime.now(UTC) + timedelta(hours=2)
    assert_bounded(look_of(lambda: store().flip_ready(limit=20, now=hours)), rows=20)


def register() -> Any:
    worker = uuid4()
    made = Incarnation(id=worker, host="here", pid=1, version="0", runtimes=[], queues=[], slots=10)
    store().register(made, lease=timedelta(seconds=30))
    return worker


def test_a_heartbeat_and_a_reaper_read_no_run_but_those_of_lost_claims() -> None:
    workers = []

    def beat_and_reap() -> None:
        assert store().beat(workers[0], lease=30.0, busy=0, state="running").alive
        store().mark_lost(limit=200)
        assert len(store().orphans(limit=20)) == 20

    look = look_of(beat_and_reap, before=lambda: (workers.append(register()), claim(limit=20)))
    assert look.rows <= ROWS * 20, look
    assert not {"openqueue_run", "openqueue_outbox"} & set(look.walked), look


def test_expired_rows_are_found_and_ended_without_a_look_at_the_others() -> None:
    assert_bounded(look_of(lambda: transitions.expire(limit=BATCH, now=datetime.now(UTC))), rows=1)
    days = datetime.now(UTC) + timedelta(days=2)
    assert_bounded(look_of(lambda: transitions.expire(limit=5, now=days)), rows=10)


def test_retention_deletes_a_chunk_by_looking_at_that_chunk() -> None:
    look = look_of(lambda: store().prune(Status.COMPLETED, before=datetime.now(UTC), limit=BATCH))
    assert look.rows <= ROWS * BATCH, look


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(status="failed")], ids=["newest", "failed"])
def test_a_list_of_runs_looks_at_a_page_of_them(wanted: Wanted) -> None:
    with undone(), looking() as look:
        run_list.find(wanted)
    assert look.rows <= ROWS * wanted.limit, look
    assert not look.sorted_big, look
