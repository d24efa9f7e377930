"""A thousand nodes that wait for each other while their workers are killed every two seconds."""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict

import pytest

from openqueue import Flow, enqueue_flow
from openqueue.models import Claim, FlowEdge, FlowNode, Run, RunEvent
from tests.app.crash_tasks import quick
from tests.crash.stage import Gates, Stage

pytestmark = [pytest.mark.crash, pytest.mark.mariadb_too]
NODES, KILL_EVERY, KILLING, LONGEST = 1_000, 2.0, 75.0, 140.0
"""Seconds. A busy machine takes longer to start a worker than to kill it: after a while what is left may finish."""


def random_graph(dice: random.Random) -> Flow:
    """Return a graph in which each node waits for up to four of those before it."""
    flow = Flow("random")
    names = [f"n{number}" for number in range(NODES)]
    for number, name in enumerate(names):
        before = names[:number]
        after = dice.sample(before, min(len(before), dice.choice([0, 1, 1, 2, 3, 4])))
        flow.add(quick.bind(failures=dice.choice([0, 0, 0, 1]), longest=0.03), name=name, after=after)
    return flow


def test_a_random_graph_settles_while_workers_are_killed(stage: Stage, gates: Gates, runtime: str):
    seed = int(os.environ.get("OPENQUEUE_TEST_SEED", random.randrange(10**6)))
    print(f"OPENQUEUE_TEST_SEED={seed}")
    dice = random.Random(seed)
    stage.settings["MAX_CRASHES"] = 1_000
    living = [stage.worker("--concurrency", "10") for _ in range(3)]
    flow = enqueue_flow(random_graph(dice))
    began, kills, killed_at = time.monotonic(), 0, time.monotonic()
    while not flow.refresh().row.is_final and time.monotonic() - began < LONGEST:
        busy = [
            worker for worker in living if Claim.objects.filter(worker_id__in=worker.incarnations).exists()
        ]
        is_time = time.monotonic() - began < KILLING
        if is_time and busy and time.monotonic() - killed_at >= KILL_EVERY:
            victim = dice.choice(busy)
            victim.kill()
            living.remove(victim)
            kills, killed_at = kills + 1, time.monotonic()
            living.append(stage.worker("--concurrency", "10", wait=False))
        time.sleep(0.1)
    print(f"{time.monotonic() - began:.1f} s, {kills} workers killed")
    row = flow.row
    assert (row.status, row.completed, row.waiting, row.active) == ("completed", NODES, 0, 0)
    assert kills > 2
    starts_after_all_parents(flow.id)
    stage.close()


def starts_after_all_parents(flow: object) -> None:
    """Each node was accepted once, and none of its bodies began before all its parents had been accepted."""
    nodes = set(FlowNode.objects.filter(flow_id=flow).values_list("pk", flat=True))
    assert not Run.objects.filter(pk__in=nodes).exclude(status="completed").exists()
    completed: dict[object, list[int]] = defaultdict(list)
    started: dict[object, list[int]] = defaultdict(list)
    events = RunEvent.objects.filter(run_id__in=nodes, kind__in=["started", "completed", "unblocked"])
    unblocked: dict[object, int] = defaultdict(int)
    for pk, run, kind in events.order_by("pk").values_list("pk", "run_id", "kind"):
        if kind == "unblocked":
            unblocked[run] += 1
        else:
            (started if kind == "started" else completed)[run].append(pk)
    assert {len(some) for some in completed.values()} == {1}
    edges = list(FlowEdge.objects.filter(child__flow_id=flow).values_list("parent_id", "child_id"))
    children = {child for _, child in edges}
    assert unblocked == dict.fromkeys(children, 1)
    moments = dict(RunEvent.objects.filter(kind="completed").values_list("run_id", "at"))
    first = {}
    for run, at in (
        RunEvent.objects.filter(run_id__in=nodes, kind="started").order_by("pk").values_list("run_id", "at")
    ):
        first.setdefault(run, at)
    assert [pair for pair in edges if first[pair[1]] < moments[pair[0]]] == []
