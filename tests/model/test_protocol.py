"""Small worlds, every interleaving: never stuck, never accepted twice, never a lie."""

from __future__ import annotations

import pytest

from tests.model.exploration import Stuck, explore
from tests.model.protocol import Job, Lie, Protocol, Run, Token, Worker, World

pytestmark = pytest.mark.crash  # it needs no database, and once is enough


def world(*, workers: int, runs: int, faults: int) -> World:
    return World(runs=(Run(),) * runs, workers=(Worker(),) * workers, faults=faults)


@pytest.mark.parametrize(("workers", "runs", "faults", "at_least"), [(2, 1, 2, 10_000), (2, 2, 1, 10_000)])
def test_every_run_ends_once_and_nobody_is_lied_to(workers: int, runs: int, faults: int, at_least: int):
    assert explore(Protocol(), world(workers=workers, runs=runs, faults=faults)) > at_least


class WithoutFence(Protocol):
    """A settle asks only whether somebody holds the run."""

    def fence(self, run: Run, token: Token) -> bool:
        return run.place == "claim"


class WithoutTokenInTheHeartbeat(Protocol):
    """A heartbeat asks only whether the process holds the run, or takes everything for its own."""

    def is_strange(self, worker: Worker, run: int, token: Token) -> bool:
        return False


class WithoutAnEarOfTheReaper(Protocol):
    """The reaper does not look at heartbeats."""

    def may_reap(self, lease: str) -> bool:
        return lease in {"fresh", "over"}


class MarkByRun(Protocol):
    """A mark names the run alone, not the announcement."""

    def marks(self, run: Run, seq: int) -> bool:
        return run.place == "outbox"


class WithoutStartGate(Protocol):
    """Whatever was claimed begins, however old the last heartbeat is."""

    def may_begin(self, worker: Worker, job: Job) -> bool:
        return True


@pytest.mark.parametrize(
    ("mistake", "shows_as"),
    [
        (WithoutFence, Lie),
        (WithoutTokenInTheHeartbeat, Stuck),
        (WithoutAnEarOfTheReaper, Lie),
        (MarkByRun, Lie),
        (WithoutStartGate, Lie),
    ],
)
def test_a_mistake_in_the_protocol_shows(mistake: type[Protocol], shows_as: type[AssertionError]):
    with pytest.raises(shows_as):
        explore(mistake(), world(workers=2, runs=1, faults=2))
