"""The set-wise verbs on PostgreSQL: one statement each, its plan prepared once a connection."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError

from openqueue import limits
from openqueue.models import Outbox, Run
from openqueue.states import Kind, Reason, Status
from openqueue.store.base import Mark
from openqueue.store.floors import Floors
from openqueue.store.memory import columns
from openqueue.store.refusals import is_locked
from openqueue.store.sending import PATIENCE, Sending
from openqueue.store.statements import statement
from openqueue.types import (
    Announcement,
    Answer,
    Beat,
    Claimed,
    ClaimRequest,
    ClaimResult,
    Deferred,
    Held,
    Key,
    Memory,
    NewRun,
    Outcome,
    Settled,
)

logger = logging.getLogger("openqueue")

AVOIDED_FOR: Final = 30.0
COLUMNS: Final = Outcome._fields.index("attempt")
"""What settle.sql takes of an outcome."""


class PostgreSQLStore(Sending):
    """PostgreSQL 15 and later."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.floors: defaultdict[str, Floors] = defaultdict(Floors)
        self.avoiding: dict[UUID, float] = {}
        """Runs that somebody else has locked, until which moment they are passed over."""

    def create(
        self, runs: Sequence[NewRun], *, forced: bool = False, now: datetime | None = None
    ) -> dict[str, str]:
        if len(runs) == 1 and runs[0].is_plain:
            return self.create_one(runs[0], forced=forced, now=now)
        closed = self.run(
            "create",
            {
                "doors": list({r.queue for r in runs}),
                "forced": forced,
                "ids": [r.id for r in runs],
                "task_ids": [r.task_id for r in runs],
                "queues": [r.queue for r in runs],
                "runtimes": [r.runtime for r in runs],
                "priorities": [r.priority for r in runs],
                "payloads": [r.payload for r in runs],
                "max_attempts": [r.max_attempts for r in runs],
                "metas": [r.meta for r in runs],
                "tags": [r.tags for r in runs],
                "options": [r.options for r in runs],
                "traceparents": [r.traceparent for r in runs],
                "delays": [r.delay for r in runs],
                "moments": [r.run_at for r in runs],
                "ttls": [r.ttl for r in runs],
                "head_starts": [r.head_start for r in runs],
                "replays": [r.replay_of for r in runs],
                "flows": [r.flow_id for r in runs],
                "keys": [r.dedupe_key for r in runs],
                "schedules": [r.schedule_id for r in runs],
                "waiting": [r.waiting for r in runs],
                "concurrency_keys": [r.concurrency_key for r in runs],
                "ordering_keys": [r.ordering_key for r in runs],
                "now": now,
            },
        )
        return dict(closed)

    def create_one(self, run: NewRun, *, forced: bool, now: datetime | None = None) -> dict[str, str]:
        closed = self.run(
            "create_one",
            {
                "forced": forced,
                "id": run.id,
                "task_id": run.task_id,
                "queue": run.queue,
                "runtime": run.runtime,
                "priority": run.priority,
                "payload": run.payload,
                "max_attempts": run.max_attempts,
                "meta": run.meta,
                "tags": run.tags,
                "options": run.options,
                "traceparent": run.traceparent,
                "delay": run.delay,
                "moment": run.run_at,
                "ttl": run.ttl,
                "head_start": run.head_start,
                "now": now,
            },
        )
        return dict(closed)

    def take_keys(self, keys: Sequence[Key], *, now: datetime | None = None) -> int:
        rows = self.run(
            "take_keys",
            {
                "ids": [k.id for k in keys],
                "scopes": [k.scope for k in keys],
                "keys": [k.key for k in keys],
                "runs": [k.run_id for k in keys],
                "windows": [k.window for k in keys],
                "now": now,
            },
        )
        return len(rows)

    def claim_due(
        self,
        request: ClaimRequest,
        *,
        runtime: str,
        rooms: dict[str, int],
        limit: int,
        now: datetime | None = None,
    ) -> ClaimResult:
        parameters = {
            "runtime": runtime,
            "room": limit,
            "in_order": request.in_order,
            "announced": request.announced,
            "tasks": request.free,
            "limited": list(request.task_rooms),
            "task_rooms": list(request.task_rooms.values()),
            "worker": request.worker_id,
            "token": request.token,
            "avoid": self.avoided(),
            "lock_timeout": self.patience(),
            "now": now,
        }
        own = now is None and not self.connection.in_atomic_block and not request.announced
        floors = self.floors[runtime] if own else Floors()
        parameters |= floors.ranges(rooms)
        began = time.monotonic()
        try:
            rows = self.run("claim_due", parameters)
        except OperationalError as error:
            if not is_locked(error) or self.connection.in_atomic_block:
                raise
            self.avoid_locked(runtime, rooms, limit=limit)
            rows = self.run("claim_due", parameters | {"avoid": self.avoided()})
        mine = [claimed(request, row[:-1]) for row in rows if row[0] is not None]
        taken = [row[5] for row in rows if row[0] is None]
        if own:
            floors.learn((row[4], row[-1]) for row in rows if row[0] is not None)
            floors.took(time.monotonic() - began, partial(self.first_due, runtime))
        return ClaimResult(claimed=mine, inconsistent=without_run(taken, mine))

    def first_due(self, runtime: str, queues: list[str], priorities: list[int], margin: timedelta) -> Any:
        facts = {"runtime": runtime, "queues": queues, "priorities": priorities, "margin": margin}
        return self.run("first_due", facts)

    def avoid_locked(self, runtime: str, rooms: dict[str, int], *, limit: int) -> None:
        """Note which of the next due runs somebody else has locked; they are passed over for a while."""
        due = Outbox.objects.using(self.alias).filter(ready=True, runtime=runtime, queue__in=list(rooms))
        due = due.exclude(pk__in=self.avoided()).order_by("-priority", "due_at")
        locked = self.locked_runs(due.values_list("run_id", flat=True)[: 2 * limit])
        logger.warning("runs locked by others, passed over", extra={"count": len(locked)})
        self.avoiding |= dict.fromkeys(locked, time.monotonic() + AVOIDED_FOR)

    def avoided(self) -> list[UUID]:
        if not self.avoiding:
            return []
        now = time.monotonic()
        self.avoiding = {run: until for run, until in self.avoiding.items() if until > now}
        return list(self.avoiding)

    def locked_runs(self, runs: Iterable[UUID]) -> set[UUID]:
        asked = set(runs)
        free = Run.objects.using(self.alias).filter(pk__in=asked).select_for_update(skip_locked=True)
        with self.atomic():
            return asked - set(free.values_list("pk", flat=True))

    def claim_named(
        self,
        request: ClaimRequest,
        *,
        announcements: Sequence[tuple[UUID, int]],
        nowait: bool = False,
        now: datetime | None = None,
    ) -> ClaimResult:
        asked = sorted(set(announcements))
        rows = self.run(
            "claim_named",
            {
                "runs": [run for run, _ in asked],
                "seqs": [seq for _, seq in asked],
                "known": list(request.known),
                "limited_tasks": list(request.task_rooms),
                "task_rooms": list(request.task_rooms.values()),
                "limited_queues": list(request.queue_rooms),
                "queue_rooms": list(request.queue_rooms.values()),
                "worker": request.worker_id,
                "token": request.token,
                "lock_timeout": "1ms" if nowait else PATIENCE,
                "now": now,
            },
        )
        told: dict[tuple[UUID, int], Answer] = {}
        mine, put_back, taken = [], [], []
        for answer, *row in rows:
            if answer == "inconsistent":
                taken.append(row[5])
            elif answer == "claimed":
                mine.append(claimed(request, row))
                told[row[0], row[1]] = "claimed"
            elif answer == "later":
                told[row[0], row[1]] = "later"
            else:
                put_back.append(Deferred(row[0], row[1], row[3], row[2], answer))
                told[row[0], row[1]] = "deferred"
        answers = {key: told.get(key, "gone") for key in asked}
        return ClaimResult(
            claimed=mine, deferred=put_back, inconsistent=without_run(taken, mine), answers=answers
        )

    def settle(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Settled]:
        ordered = sorted(outcomes, key=lambda o: o.run_id.int)
        runs, tokens, kinds, statuses, reasons, results, errors, datas, delays, ages, owns = zip(
            *(outcome[:COLUMNS] for outcome in ordered), strict=True
        )
        rows = self.run(
            "settle",
            {
                "runs": list(runs),
                "tokens": list(tokens),
                "kinds": list(kinds),
                "statuses": list(statuses),
                "reasons": list(reasons),
                "results": list(results),
                "errors": list(errors),
                "datas": list(datas),
                "delays": list(delays),
                "ages": list(ages),
                "owns": list(owns),
                "lock_timeout": self.patience(),
                "now": now,
            },
        )
        return [
            Settled(run, token, Status(status), limits.freed(key, ordering))
            for run, token, status, key, ordering in rows
        ]

    def beat(
        self, worker_id: UUID, *, lease: float, busy: int, state: str, memory: Memory | None = None,
        now: datetime | None = None,
    ) -> Beat:  # fmt: skip
        resident, history = columns(memory)
        facts = {"worker": worker_id, "lease": lease, "busy": busy, "state": state, "now": now}
        facts |= {"memory": resident, "memories": history}
        rows = self.run("heartbeat", facts)
        if not rows:
            return Beat(alive=False)
        return Beat(
            alive=True, command=rows[0][0], held=[Held(*row[1:]) for row in rows if row[1] is not None]
        )

    def withdraw(
        self,
        places: Sequence[tuple[UUID, int | None]],
        *,
        status: Status,
        reason: Reason,
        kind: Kind,
        actor: str = "",
        error: str | None = None,
        data: str | None = None,
        now: datetime | None = None,
    ) -> list[UUID]:
        rows = self.run(
            "withdraw",
            {
                "runs": [run for run, _ in places],
                "seqs": [seq for _, seq in places],
                "status": status,
                "reason": reason,
                "kind": kind,
                "actor": actor,
                "error": error,
                "data": data,
                "lock_timeout": self.patience(),
                "now": now,
            },
        )
        return [row[0] for row in rows]

    def requeue(
        self, runs: Sequence[UUID], *, actor: str, head_start: float, now: datetime | None = None
    ) -> list[tuple[UUID, int, str, str]]:
        rows = self.run(
            "requeue", {"runs": sorted(runs), "actor": actor, "head_start": head_start, "now": now}
        )
        return [(run, seq, queue, runtime) for run, seq, queue, runtime in rows]

    def move(self, queue: str, *, runtime: str, actor: str, now: datetime | None = None) -> tuple[int, int]:
        ((moved, running),) = self.run(
            "move", {"queue": queue, "runtime": runtime, "actor": actor, "now": now}
        )
        return moved, running

    def flip_ready(self, *, limit: int, now: datetime | None = None) -> list[tuple[str, str]]:
        return [(queue, runtime) for queue, runtime in self.run("flip_ready", {"room": limit, "now": now})]

    def lease_announcements(
        self, *, runtime: str, rooms: dict[str, int], now: datetime | None = None
    ) -> list[tuple[Announcement, bool, str | None]]:
        rows = self.run(
            "lease_announcements",
            {"runtime": runtime, "queues": list(rooms), "rooms": list(rooms.values()), "now": now},
        )
        return [(Announcement(*row[:10]), row[10], row[11]) for row in rows]

    def mark_announced(self, marks: Sequence[Mark], *, now: datetime | None = None) -> int:
        runs, seqs, tries, refs, errors, waits = zip(
            *sorted(marks, key=lambda mark: mark[0].int), strict=True
        )
        with self.cursor() as cursor:
            cursor.execute(
                statement("postgresql", "mark_announced"),
                {
                    "runs": list(runs),
                    "seqs": list(seqs),
                    "tries": list(tries),
                    "refs": list(refs),
                    "errors": list(errors),
                    "waits": list(waits),
                    "now": now,
                },
            )
            return int(cursor.rowcount)


def claimed(request: ClaimRequest, row: Sequence[Any]) -> Claimed:
    """Read a claimed row: run, seq, attempt, task, queue, payload, max_attempts, crash_count, meta, options, trace."""
    return Claimed(row[0], request.token, request.worker_id, *row[1:])


def without_run(taken: Sequence[str], mine: Sequence[Claimed]) -> list[UUID]:
    """Return what was taken from the outbox and could not be claimed."""
    ids = [UUID(run_id) for text in taken for run_id in json.loads(text)]
    return sorted(set(ids) - {attempt.run_id for attempt in mine})
