"""Acts on all runs that a search finds, however many: asked for once, done in batches, resumed after any crash."""

from __future__ import annotations

from openqueue.control.bulk.acts import ACTS, OTHER_ERROR, BulkAct
from openqueue.control.bulk.asking import INLINE, Preview, ask, preview
from openqueue.control.bulk.facts import BulkFacts, listing, show
from openqueue.control.bulk.working import BATCH, drive, resume, step, stop

__all__ = [
    "ACTS",
    "BATCH",
    "INLINE",
    "OTHER_ERROR",
    "BulkAct",
    "BulkFacts",
    "Preview",
    "ask",
    "drive",
    "listing",
    "preview",
    "resume",
    "show",
    "step",
    "stop",
]
