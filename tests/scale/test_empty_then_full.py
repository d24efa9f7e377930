"""Plans made while every table was empty, and kept: what a worker started on a new site has."""

from __future__ import annotations

from uuid import UUID

import pytest

from openqueue.core import transitions
from openqueue.store import store
from openqueue.types import Claimed
from tests.scale import history
from tests.scale.history import QUEUES
from tests.scale.plans import as_worker, executed
from tests.scale.test_plans import assert_bounded, claim, undone

pytestmark = [pytest.mark.scale, pytest.mark.postgresql]

BATCH = 200
FINISHED, WAITING = 50_000, 20_000
OTHERS = 20
"""Batches that other workers hold meanwhile."""


@pytest.mark.parametrize("plans", ["auto", "force_generic_plan"])
@pytest.mark.parametrize("past", [None, 0, 20, 500])
def test_plans_of_small_tables_still_serve_when_they_are_full(
    fresh: str, plans: str, past: int | None
) -> None:
    """``past``: how many runs there were when statistics were made; None: nobody made some."""

    def work_then_fill_then_work() -> None:
        with history.server(fresh) as connection:
            if past is not None:
                history.fill_waiting(connection, past, first=3_000_000)
                claim(*QUEUES, limit=5)  # and held from now on
                connection.execute("VACUUM ANALYZE")
            for _ in range(10):  # more than PostgreSQL watches before it keeps a plan
                settle_all(claim(*QUEUES, limit=BATCH))
            history.fill_finished(connection, FINISHED)
            history.fill_waiting(connection, WAITING, delayed=WAITING)
        for _ in range(OTHERS):
            claim(*QUEUES, limit=BATCH)
        with undone(), executed() as found:
            attempts = claim(*QUEUES, limit=BATCH)
            settle_all(attempts)
        assert len(attempts) == BATCH
        assert len(found) == 2
        assert_bounded(found, rows=BATCH)

    as_worker(work_then_fill_then_work, plans=plans)


def settle_all(attempts: list[Claimed]) -> None:
    """Settle attempts; without any, some that nobody holds, so that the statement is planned."""
    if attempts:
        outcomes = [transitions.completed(attempt, result=None, age=0.01) for attempt in attempts]
    else:
        nobody = [(UUID(int=n), UUID(int=n)) for n in range(1, BATCH)]
        outcomes = [transitions.released(run, token, age=None, own=True, why="") for run, token in nobody]
    assert len(store().settle(outcomes)) == len(attempts)
