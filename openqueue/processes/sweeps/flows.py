"""Finds what waits in flows though nothing keeps it, and what ended without its flow hearing of it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from openqueue.core import flow_acts

logger = logging.getLogger("openqueue")

BATCH: Final = 50


class Flows:
    """Looks at each unfinished flow once a minute. What it has to mend should not be: it says so in the log."""

    name = "flows"
    every = timedelta(seconds=10)

    def step(self, now: datetime | None = None) -> int:
        """Look at one batch of flows; return how many nodes were mended."""
        mended = 0
        for flow in flow_acts.unfinished(limit=BATCH, now=now):
            count = flow_acts.mend(flow, now=now)
            if count:
                logger.error("mended a flow", extra={"flow_id": str(flow), "nodes": count})
            mended += count
        return mended
