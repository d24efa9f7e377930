"""This host's clock against the database's, which decides what is due."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from openqueue.control.findings import Finding
from openqueue.store import store

APART: Final = 1.0
FAR_APART: Final = 60.0
"""Seconds."""


def findings(facts: dict[str, Any]) -> Iterator[Finding]:
    """Ask the database for its clock, and allow for the time that the answer took."""
    before = time.time()
    told = store().clock(None)
    took = time.time() - before
    here = datetime.fromtimestamp(before + took / 2, tz=UTC)
    ahead = (here - told).total_seconds()
    facts["host_ahead"] = round(ahead, 3)
    facts["answer_took"] = round(took, 3)
    yield from judge(ahead, uncertain=took / 2)


def judge(ahead: float, *, uncertain: float) -> Iterator[Finding]:
    """Judge how many seconds this host is ahead of the database."""
    apart = abs(ahead) - uncertain
    if apart > APART:
        yield Finding(
            id="clocks_apart",
            level="error" if apart > FAR_APART else "warning",
            subject="clocks",
            message=f"This host is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the database.",
            remedy="Have both follow NTP. The database's clock decides what is due; run_at= is reckoned by the host's.",
        )
