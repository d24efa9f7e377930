"""`manage.py openqueue_bench --json` in a process of its own, up to three times: CI machines have neighbours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Final

TRIES: Final = 5
Figures = dict[str, float]


def measure(environment: dict[str, str], *options: str) -> dict[str, Figures]:
    command = [sys.executable, "-m", "django", "openqueue_bench", "--json", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Figures] = json.loads(done.stdout)
    return told


def assert_once(
    environment: dict[str, str], what: str, *options: str, reaches: Callable[[Figures], bool]
) -> None:
    """Measure one thing until it reaches its target, three times at most; print every figure."""
    for _ in range(TRIES):
        figures = measure(environment, "--only", what, *options)[what]
        sys.stdout.write(f"{what}: {json.dumps(figures)}\n")
        if reaches(figures):
            return
    raise AssertionError(f"{what} missed its target {TRIES} times; the figures are above")
