"""Long histories cost nothing, and long work costs no memory."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable

import pytest

from openqueue.management.bench import accounting
from openqueue.models import Outbox
from tests.eventually import eventually
from tests.scale.drain import QUEUE, drain, fill
from tests.scale.history import working_on

pytestmark = [pytest.mark.scale, pytest.mark.postgresql]

Environment = Callable[[str], dict[str, str]]
RUNS, PAIRS, TRIES = 5_000, 3, 3
MANY, WARM = 100_000, 20_000


def test_a_million_runs_of_history_leave_nine_tenths_of_the_rate(
    large: str, empty: str, environment: Environment
) -> None:
    def rate(name: str) -> float:
        with working_on(name):
            fill(RUNS)
        told = drain(environment(name))
        assert told["runs"] == RUNS
        return RUNS / float(told["seconds"])

    ratios = []
    for _ in range(TRIES):  # the machine may be busy with something else
        pairs = [(rate(large), rate(empty)) for _ in range(PAIRS)]
        with_history, without = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratios.append(with_history / without)
        print(f"with history {with_history:,.0f}/s, without {without:,.0f}/s: {ratios[-1]:.2f}")
        if ratios[-1] >= 0.9:
            break
    assert max(ratios) >= 0.9


def test_a_workers_memory_stays_flat_over_a_hundred_thousand_runs(
    empty: str, environment: Environment
) -> None:
    warm: list[int] = []

    def watch(worker: subprocess.Popen[str]) -> None:
        eventually(lambda: Outbox.objects.filter(queue=QUEUE).count() <= MANY - WARM, within=120)
        warm.append(accounting.resident(worker.pid) or 0)

    with working_on(empty):
        fill(MANY)
        told = drain(environment(empty), watch=watch)
    assert told["runs"] == MANY
    grown = (told["rss_end"] - warm[0]) / 2**20
    print(f"{warm[0] / 2**20:.1f} MB when warm, {grown:+.1f} MB until the end")
    assert grown < 15
