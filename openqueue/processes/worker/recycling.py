"""When a worker is old enough to be replaced by a fresh process: after so many runs, or so much memory."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """None: never."""

    max_runs: int | None = None
    max_rss: int | None = None
    """Megabytes (of 2^20 bytes) of resident memory."""

    def due(self, *, runs: int) -> str:
        """Return why the worker should be replaced, having settled ``runs``; empty when it need not.

        A worker that has run nothing yet stays: where it needs more than ``max_rss`` from the start, one process
        after the other would begin and end without a single run.
        """
        if self.max_runs is not None and runs >= self.max_runs:
            return f"{runs} runs"
        if self.max_rss is not None and runs and (used := rss()) > self.max_rss:
            return f"{used:.0f} MB of memory"
        return ""


def rss() -> float:
    """Return the resident memory of this process in megabytes; where only the peak is known, the peak."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize() / 2**20
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
