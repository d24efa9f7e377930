"""Takes back the claims of workers whose lease ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
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
        self.ahead: float | None = None
        """Seconds that the database's clock is ahead of this process's monotonic one."""
        self.trusting = trusting
        """Tests and supervisors act at once."""

    def step(self, now: datetime | None = None) -> int:
        """Do one pass; return how many claims were returned."""
        quick = within_a_heartbeat()
        moment = store().clock(now)
        if now is None:
            self.compare(moment)
        orphans = store().orphans(limit=BATCH)
        watched = False

        def sure() -> bool:
            """Asked with the locks at hand: while a database can but be read, no heartbeat comes through."""
            nonlocal watched
            if not quick():
                self.interrupted()  # an answer that took so long is no good contact: heartbeats waited as well
            watched = self.watch()
            return watched

        lost = store().mark_lost(limit=BATCH, sure=sure, now=moment)
        if not watched:
            return 0
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

    def compare(self, moment: datetime) -> None:
        """Notice when the database's clock was set: leases that it ended by that were all kept."""
        ahead = moment.timestamp() - time.monotonic()
        if self.ahead is not None and abs(ahead - self.ahead) > config.heartbeat.total_seconds():
            logger.warning("the clock was set, watching anew", extra={"seconds": round(ahead - self.ahead)})
            self.interrupted()
        self.ahead = ahead

    def watch(self) -> bool:
        """Note a good contact with the database; tell whether the first was long enough ago."""
        contact = time.monotonic()
        if self.first_contact is None:
            self.first_contact = contact
        return self.trusting or contact - self.first_contact >= 2 * config.heartbeat.total_seconds()

    def interrupted(self) -> None:
        """A contact with the database failed: begin watching anew."""
        self.first_contact = None


def within_a_heartbeat() -> Callable[[], bool]:
    """Return what tells whether less than a heartbeat has passed since now, asleep or awake."""
    began, most = (time.monotonic(), time.time()), config.heartbeat.total_seconds()
    return lambda: max(time.monotonic() - began[0], abs(time.time() - began[1])) <= most


def give_back(orphans: list[tuple[Any, Any, str, int, Any]], *, now: datetime | None = None) -> int:
    """Return claims set-wise, each fenced by its token: a crash charged, the third one final."""
    if not orphans:
        return 0
    outcomes = []
    with registry.remembering():
        for run_id, token, task_id, crashes, worker_id in orphans:
            task: Any = registry.find(task_id)
            most = 1 if task is not None and task.on_worker_lost == "fail" else config.max_crashes
            outcomes.append(
                transitions.lost(run_id, token, crash_count=crashes, max_crashes=most, worker_id=worker_id)
            )
    settled = transitions.settle(outcomes, left=[], now=now)  # what is locked comes back with the next pass
    if any(s.status == Status.QUEUED for s in settled):
        for alias in config.runtimes:
            wake(alias)
    return len(settled)
