"""Limits of the whole fleet while workers are killed: never exceeded, and no permit is lost with a worker."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from typing import Any

import pytest

from openqueue.models import Outbox
from tests.app.crash_tasks import booked, gated, tight
from tests.crash.invariants import check
from tests.crash.stage import RECOVERY, Gates, Stage, settled
from tests.eventually import eventually

pytestmark = [pytest.mark.crash, pytest.mark.mariadb_too]

WORKERS, KILLS = 4, 3


def kill_now_and_then(stage: Stage, gates: Gates) -> dict[int, float]:
    """Kill workers one after the other while bodies are inside, each replaced at once; return when which one ended."""
    ended = {}
    for victim in stage.workers[:KILLS]:
        begun = len(gates.effects())
        eventually(lambda: len(gates.effects()) > begun + 5, within=RECOVERY + 20)  # noqa: B023  # called here
        victim.kill()
        ended[victim.pid] = time.time()
        stage.worker(wait=False)
    return ended


def visits(gates: Gates, ended: dict[int, float]) -> list[tuple[float, float, str]]:
    """Return when each body was inside: until its end, or until its process was killed."""
    ends = {(e.run, e.attempt): e.at for e in gates.effects(what="end")}
    return sorted(
        (e.at, ends.get((e.run, e.attempt), ended.get(e.pid, float("inf"))), e.run) for e in gates.effects()
    )


@pytest.mark.sqlite_too
def test_never_more_bodies_at_once_though_workers_are_killed(runtime: str, stage: Stage, gates: Gates):
    runs = tight.trigger_many([{"failures": random.choice([0, 0, 1])} for _ in range(40)])
    for _ in range(WORKERS):
        stage.worker(wait=False)
    ended = kill_now_and_then(stage, gates)
    for run in runs:
        settled(run, within=120)
    inside = visits(gates, ended)
    for begun, _, _ in inside:
        at_once = [visit for visit in inside if visit[0] <= begun < visit[1]]
        assert len(at_once) <= 2, at_once
    check(gates, expected=[run.id for run in runs], quiet=True)


@pytest.mark.sqlite_too
def test_an_order_is_kept_though_workers_are_killed(runtime: str, stage: Stage, gates: Gates):
    calls: list[dict[str, Any]] = [
        {"account": n % 4, "failures": random.choice([0, 0, 1])} for n in range(40)
    ]
    runs = booked.trigger_many(calls)
    for _ in range(WORKERS):
        stage.worker(wait=False)
    ended = kill_now_and_then(stage, gates)
    for run in runs:
        settled(run, within=120)
    inside = visits(gates, ended)
    for account in range(4):
        order = {str(run.id): n for n, run in enumerate(runs) if n % 4 == account}
        line = [visit for visit in inside if visit[2] in order]
        assert [order[run] for _, _, run in line] == sorted(order[run] for _, _, run in line)
        assert all(left <= begun for (_, left, _), (begun, _, _) in pairwise(line)), line
    check(gates, expected=[run.id for run in runs], quiet=True)


def test_a_killed_workers_permit_goes_to_the_next_and_its_run_waits_for_another(
    runtime: str, stage: Stage, gates: Gates
):
    first, second = (gated.using(concurrency_key="door").trigger() for _ in range(2))
    worker = stage.worker()
    gates.wait_inside(first)
    worker.kill()
    stage.worker()
    gates.wait_inside(second)
    assert Outbox.objects.get(pk=first.id).waits_for == "door"
    gates.open()
    assert (settled(second).attempt, settled(first).attempt) == (1, 2)
