"""`manage.py openqueue_bench --json` in a process of its own, up to five times, and by how slow the machine is.

CI machines have neighbours: the same code took twice its time within an hour. A target is therefore stated for a
machine of reference and scaled by how long that one takes now for a little work of no code of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import timeit
import uuid
from collections.abc import Callable
from statistics import median
from typing import Any, Final

TRIES: Final = 5
REFERENCE: Final = 2.8e-6
"""Seconds of one uuid4(), a little Python and a system call, on the machine that the targets were set on."""
SLOWEST: Final = 2.5
"""On a machine slower than that, nothing is to be learned."""
Figures = dict[str, Any]


def measure(environment: dict[str, str], *options: str) -> dict[str, Figures]:
    command = [sys.executable, "-m", "django", "openqueue_bench", "--json", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Figures] = json.loads(done.stdout)
    return told


def slowness() -> float:
    """Return how many times as long as the machine of reference this one takes now; at least 1."""
    rounds = timeit.repeat(uuid.uuid4, number=500, repeat=40)
    return min(SLOWEST, max(1.0, median(rounds) / 500 / REFERENCE))


def assert_once(
    environment: dict[str, str],
    what: str,
    *options: str,
    reaches: Callable[[Any, float], bool],
) -> None:
    """Measure one thing until it reaches its target, five times at most; print every figure.

    reaches: told the figures, by runtime where several were measured, and how slow the machine is.
    """
    for _ in range(TRIES):
        before = slowness()
        told = measure(environment, "--only", what, *options)
        slow = (before + slowness()) / 2
        sys.stdout.write(f"{what}, slow by {slow:.2f}: {json.dumps(told)}\n")
        if reaches(told[what] if what in told else {name: one[what] for name, one in told.items()}, slow):
            return
    raise AssertionError(f"{what} missed its target {TRIES} times; the figures are above")
