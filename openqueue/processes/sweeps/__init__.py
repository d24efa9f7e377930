"""The sweeps: what must happen now and then, safe in any number of copies."""

from __future__ import annotations

from openqueue.processes.sweeps.sweeps import NAMES, Sweeps, loops, makers

__all__ = ["NAMES", "Sweeps", "loops", "makers"]
