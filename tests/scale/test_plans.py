"""What each statement may look at: as much as its batch, whatever the size of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from openqueue.control import run_list
from openqueue.control.run_list import Wanted
from openqueue.core import transitions
from openqueue.models import Outbox, Run
from openqueue.states import Status
from openqueue.store import store
from openqueue.types import Claimed, ClaimRequest, Incarnation
from tests.scale.history import QUEUES, TASK, working_on
from tests.scale.plans import Plan, as_worker, executed, rows

pytestmark = [pytest.mark.scale, pytest.mark.postgresql]

BATCH = 100
ROWS = 12
"""Rows of big tables that a statement may look at for each row of its batch."""
PAGES = 200
"""Pages, those of every index that an insert goes into included."""


@pytest.fixture(params=["large", "small"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    with working_on(request.getfixturevalue(request.param)) as name:
        yield name


@pytest.fixture(params=["force_generic_plan", "force_custom_plan"])
def plans(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def claim(*queues: str, limit: int = BATCH, worker: UUID | None = None) -> list[Claimed]:
    request = ClaimRequest(worker_id=worker or uuid4(), token=uuid4(), known=[TASK])
    rooms = dict.fromkeys(queues or QUEUES[:1], limit)
    return list(store().claim_due(request, runtime="default", rooms=rooms, limit=limit).claimed)


def plans_of(act: Callable[..., Any], *, plans: str, before: Callable[[], Any] = lambda: None) -> list[Plan]:
    """Return the executed plans of an act of a worker; what it did, and what led there, is undone."""

    def watched() -> list[Plan]:
        with undone():
            prepared = before()
            with executed() as found:
                act() if prepared is None else act(prepared)
        return found

    found = as_worker(watched, plans=plans)
    assert found, "auto_explain told nothing"
    return found


def assert_bounded(found: list[Plan], *, rows: int, pinned: bool = True) -> None:
    for plan in found:
        assert plan.touched <= ROWS * max(rows, 10), plan
        assert plan.thrown_away <= ROWS * max(rows, 10), plan
        assert plan.pages <= PAGES * max(rows, 10), plan
        assert not (pinned and plan.seq_scans), plan


@pytest.mark.parametrize("queues", [QUEUES[:1], QUEUES], ids=["one queue", "three queues"])
def test_a_claim_of_due_rows_looks_at_its_batch_only(
    database: str, plans: str, queues: tuple[str, ...]
) -> None:
    found = plans_of(lambda: claim(*queues), plans=plans)
    assert len(found) == 1
    assert_bounded(found, rows=BATCH)
    assert not any(node["Node Type"] == "Sort" and node["Actual Rows"] > 3 * BATCH for node in found[0].scans)


def test_a_claim_takes_the_highest_priority_first_and_no_row_that_is_not_due(database: str) -> None:
    def taken() -> set[int]:
        with undone():
            ids = [attempt.run_id for attempt in claim(*QUEUES, limit=10)]
            return set(Run.objects.filter(pk__in=ids).values_list("priority", flat=True))

    assert as_worker(taken) == {40}


def test_a_claim_by_name_looks_at_its_messages_only(database: str, plans: str) -> None:
    def messages() -> list[tuple[UUID, int]]:
        return list(Outbox.objects.filter(ready=True).values_list("run_id", "seq")[:BATCH])

    def act(announcements: list[tuple[UUID, int]]) -> None:
        request = ClaimRequest(worker_id=uuid4(), token=uuid4(), known=[TASK])
        store().claim_named(request, announcements=announcements)

    assert_bounded(plans_of(act, before=messages, plans=plans), rows=BATCH)


@pytest.mark.parametrize("ending", ["completed", "retrying"])
def test_a_settle_looks_at_its_attempts_only(database: str, plans: str, ending: str) -> None:
    def outcome(attempt: Claimed) -> Any:
        if ending == "completed":
            return transitions.completed(attempt, result='"done"', age=0.01)
        return transitions.retrying(
            attempt, reason=transitions.Reason.ERROR, error={}, delay=1.0, backoff="fixed", age=0.01
        )

    def act(attempts: list[Claimed]) -> None:
        store().settle([outcome(attempt) for attempt in attempts])

    assert_bounded(plans_of(act, before=lambda: claim(*QUEUES), plans=plans), rows=BATCH)


def test_a_lease_of_announcements_looks_at_its_batch_only(database: str, plans: str) -> None:
    rooms = dict.fromkeys(QUEUES, BATCH)

    def act() -> None:
        leased = store().lease_announcements(runtime="default", rooms=rooms)
        store().mark_announced([(a.run_id, a.seq, a.tries, None, None, 60.0) for a, _, _ in leased])

    found = plans_of(act, plans=plans)
    assert len(found) == 2
    assert_bounded(found, rows=3 * BATCH)


def test_the_queues_of_the_outbox_are_found_without_walking_it(database: str, plans: str) -> None:
    assert_bounded(plans_of(lambda: store().outbox_queues(runtime="default"), plans=plans), rows=len(QUEUES))


def test_rows_fall_due_without_a_look_at_the_others(database: str, plans: str) -> None:
    def flip(now: datetime | None) -> list[Plan]:
        return plans_of(lambda: store().flip_ready(limit=BATCH, now=now), plans=plans)

    assert_bounded(flip(None), rows=1)
    assert_bounded(flip(datetime.now(UTC) + timedelta(hours=2)), rows=BATCH)


def register() -> UUID:
    worker = uuid4()
    found = Incarnation(id=worker, host="here", pid=1, version="0", runtimes=[], queues=[], slots=10)
    store().register(found, lease=timedelta(seconds=30))
    return worker


def test_a_heartbeat_reads_its_own_claims_only(database: str, plans: str) -> None:
    def claims_of_two() -> UUID:
        claim(worker=register())
        claim(QUEUES[1], limit=10, worker=(mine := register()))
        return mine

    def beat(worker: UUID) -> None:
        assert store().beat(worker, lease=30.0, busy=0, state="running").held

    assert_bounded(plans_of(beat, before=claims_of_two, plans=plans), rows=10)


def test_a_reaper_reads_the_claims_and_the_runs_of_lost_ones_only(database: str, plans: str) -> None:
    def one_lost() -> int:
        held = len(claim(limit=500, worker=register()))
        return held + len(claim(QUEUES[1], limit=10))  # of a worker without a row

    def reap(held: int) -> None:
        orphans = store().orphans(limit=200)
        assert 0 < len(orphans) <= 10 < held
        store().mark_lost(limit=200)

    assert_bounded(plans_of(reap, before=one_lost, plans=plans), rows=100, pinned=False)


def test_expired_rows_are_found_and_ended_without_a_look_at_the_others(database: str, plans: str) -> None:
    def expire(now: datetime) -> list[Plan]:
        return plans_of(lambda: transitions.expire(limit=BATCH, now=now), plans=plans)

    assert_bounded(expire(datetime.now(UTC)), rows=1)
    assert_bounded(expire(datetime.now(UTC) + timedelta(days=2)), rows=BATCH)


def test_retention_deletes_a_chunk_by_looking_at_that_chunk(database: str, plans: str) -> None:
    def prune() -> None:
        assert store().prune(Status.COMPLETED, before=datetime.now(UTC), limit=BATCH) in {19, BATCH}

    assert_bounded(plans_of(prune, plans=plans), rows=BATCH)


@pytest.mark.parametrize(
    "wanted",
    [Wanted(), Wanted(status="failed"), Wanted(status="running"), Wanted(since=timedelta(minutes=10))],
    ids=["newest", "failed", "running", "since"],
)
def test_a_list_of_runs_looks_at_a_page_of_them(database: str, wanted: Wanted) -> None:
    with undone(), executed() as found:
        run_list.find(wanted)
    assert_bounded(found, rows=wanted.limit, pinned=False)


@pytest.mark.parametrize("status", ["queued", "scheduled"])
def test_a_list_of_waiting_runs_does_not_walk_the_history(database: str, status: str) -> None:
    with undone(), executed() as found:
        run_list.find(Wanted(status=status))
    most = max(
        ROWS * Wanted().limit, Outbox.objects.count()
    )  # of runs: never more than there are waiting ones
    for plan in found:
        history = [node for node in plan.scans if node["Relation Name"] != "openqueue_outbox"]
        assert sum(rows(node) for node in history) <= most, plan


def test_the_workbench_lists_runs_by_looking_at_the_newest_of_them(
    database: str, admin_user_here, client
) -> None:
    client.force_login(admin_user_here)
    with executed() as found:
        page = client.get("/admin/openqueue/run/")
    assert page.status_code == 200
    lists = [plan for plan in found if "openqueue_run" in plan.statement]
    assert lists != []
    assert not [plan for plan in lists if "COUNT" in plan.statement]
    assert_bounded(lists, rows=100, pinned=False)


@pytest.fixture
def admin_user_here(database: str) -> Iterator[Any]:
    from django.contrib.auth.models import User

    user = User.objects.create_superuser("scale", "", "scale")
    yield user
    user.delete()
