"""Takes back the claims of workers whose lease ended."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any, Final

from openqueue import registry
from openqueue.conf import config
from openqueue.core import transitions
from openqueue.processes.sweeps.due import wake
from openqueue.states import Status
from openqueue.store import store

logger = logging.getLogger("openqueue")

BATCH: Final = 200


class Reaper:
    """Marks workers lost, then returns every claim whose incarnation is not alive.

    It acts only after two good contacts with the database at least two heartbeats apart and none failed between, so
    that an outage longer than the lease does not turn the whole fleet into crashes.
    """

    name = "reap"

    def __init__(self, *, trusting: bool = False) -> None:
        self.every = config.reap_every
        self.first_contact: float | None = None
        self.trusting = trusting
        """Tests and supervisors act at once."""

    def step(self, now: datetime | None = None) -> int:
        """Do one pass; return how many claims were returned."""
        asked = time.monotonic()
        orphans = store().orphans(limit=BATCH)
        if time.monotonic() - asked > config.heartbeat.total_seconds():
            self.interrupted()  # an answer that took so long is no good contact: heartbeats waited as well
        if not self.watch():
            return 0
        lost = store().mark_lost(limit=BATCH, now=now)
        if lost:
            logger.warning("workers lost", extra={"workers": [str(worker) for worker in lost]})
            orphans = store().orphans(limit=BATCH)
        returned = give_back(orphans, now=now)
        while len(orphans) == BATCH and (orphans := store().orphans(limit=BATCH)):
            more = give_back(orphans, now=now)
            if not more:
                break  # others were faster with all of them: they go on
            returned += more
        return returned

    def watch(self) -> bool:
        """Note a good contact with the database; tell whether the first was long enough ago."""
        contact = time.monotonic()
        if self.first_contact is None:
            self.first_contact = contact
        return self.trusting or contact - self.first_contact >= 2 * config.heartbeat.total_seconds()

    def interrupted(self) -> None:
        """A contact with the database failed: begin watching anew."""
        self.first_contact = None


def give_back(orphans: list[tuple[Any, Any, str, int, Any]], *, now: datetime | None = None) -> int:
    """Return claims set-wise, each fenced by its token: a crash charged, the third one final."""
    if not orphans:
        return 0
    tasks: dict[str, Any] = registry.index()
    outcomes = []
    for run_id, token, task_id, crashes, worker_id in orphans:
        once = task_id in tasks and tasks[task_id].on_worker_lost == "fail"
        most = 1 if once else config.max_crashes
        outcomes.append(
            transitions.lost(run_id, token, crash_count=crashes, max_crashes=most, worker_id=worker_id)
        )
    settled = transitions.settle(outcomes, now=now)
    if any(s.status == Status.QUEUED for s in settled):
        for alias in config.runtimes:
            wake(alias)
    return len(settled)
