"""Replays: new runs from a window of past ones."""

from __future__ import annotations

from openqueue.control.replay.replay import execute, leave_off, rehearse
from openqueue.control.replay.report import Report
from openqueue.control.replay.wanted import Wanted

__all__ = ["Report", "Wanted", "execute", "leave_off", "rehearse"]
