"""What every database does for OpenQueue: the set-wise verbs, and those that the ORM says well enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Q

from openqueue import codec
from openqueue.models import Claim, DeadLetter, Outbox, Run, RunEvent, RunLog, Sweep, TaskDefinition, Worker
from openqueue.states import Kind, Reason, Status
from openqueue.store import moving, pruning, releases, wishes
from openqueue.types import (
    Announcement,
    Beat,
    ClaimRequest,
    ClaimResult,
    Incarnation,
    LogLine,
    Memory,
    NewRun,
    Outcome,
    Progress,
    Settled,
)

LOCK_TIMEOUT = timedelta(seconds=2)


class SetWise(Protocol):
    """The verbs that each database says in its own SQL. Every one takes a batch; none grows with it."""

    def create(
        self, runs: Sequence[NewRun], *, forced: bool = False, now: datetime | None = None
    ) -> dict[str, str]: ...

    def claim_due(
        self,
        request: ClaimRequest,
        *,
        runtime: str,
        rooms: dict[str, int],
        limit: int,
        now: datetime | None = None,
    ) -> ClaimResult: ...

    def claim_named(
        self,
        request: ClaimRequest,
        *,
        announcements: Sequence[tuple[UUID, int]],
        nowait: bool = False,
        now: datetime | None = None,
    ) -> ClaimResult: ...

    def settle(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Settled]: ...

    def beat(
        self, worker_id: UUID, *, lease: float, busy: int, state: str, memory: Memory | None = None,
        now: datetime | None = None,
    ) -> Beat: ...  # fmt: skip

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
    ) -> list[UUID]: ...

    def requeue(
        self, runs: Sequence[UUID], *, actor: str, head_start: float, now: datetime | None = None
    ) -> list[tuple[UUID, int, str, str]]: ...

    def flip_ready(self, *, limit: int, now: datetime | None = None) -> list[tuple[str, str]]: ...

    def lease_announcements(
        self, *, runtime: str, rooms: dict[str, int], now: datetime | None = None
    ) -> list[tuple[Announcement, bool, str | None]]: ...

    def mark_announced(self, marks: Sequence[Mark], *, now: datetime | None = None) -> int: ...


Mark = tuple[UUID, int, int, str | None, str | None, float | None]
"""run, seq, tries, the broker's reference, why it stayed, seconds until it is announced again."""


class BaseStore:
    """The verbs that are the same on every database, on one connection alias."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def connection(self) -> Any:
        return connections[self.alias]

    def clock(self, now: datetime | None) -> datetime:
        """Return the database's clock (one round trip where it is not this host's), or the moment of a test."""
        return now or datetime.now(UTC)

    def pin_plans(self) -> None:
        """Have this thread's connection, which must be OpenQueue's own, plan for large tables (where that helps)."""

    def atomic(self) -> transaction.Atomic:
        return transaction.atomic(using=self.alias)

    def own(self) -> AbstractContextManager[Any]:
        """One transaction for several verbs, which are as patient in it as each alone; in the caller's, that one."""
        inside = self.connection.in_atomic_block
        return transaction.mark_for_rollback_on_error(using=self.alias) if inside else self.atomic()

    @contextmanager
    def bounded(self, limit: timedelta, *, by_index: bool = False, writes: bool = False) -> Iterator[None]:
        """One transaction in which no statement may take longer, where the database can be told so.

        by_index: use indexes even where a scan looks cheaper: the database does not know at which edge a walk ends.
        writes: the block does not only read. SQLite begins it with its one write lock.
        """
        with self.atomic():
            yield

    # --- workers -----------------------------------------------------------------------------------------

    def register(self, incarnation: Incarnation, *, lease: timedelta, now: datetime | None = None) -> None:
        """Write the row of an incarnation; sent again after a lost answer, it finds it there."""
        moment = self.clock(now)
        releases.note(self, incarnation.release, at=moment)  # first: no run of an unknown one is ever counted
        row = Worker(
            id=incarnation.id,
            host=incarnation.host,
            pid=incarnation.pid,
            version=incarnation.version,
            release=incarnation.release,
            runtimes=list(incarnation.runtimes),
            queues=list(incarnation.queues),
            tasks=list(incarnation.tasks),
            slots=incarnation.slots,
            state="running",
            command=incarnation.command,
            obeys=incarnation.command,
            started_at=moment,
            lease_until=moment + lease,
        )
        Worker.objects.using(self.alias).bulk_create([row], ignore_conflicts=True)

    def resign(self, worker_id: UUID) -> None:
        workers = Worker.objects.using(self.alias).filter(pk=worker_id, state__in=["running", "stopping"])
        workers.update(state="stopped", busy=0)

    def mark_lost(
        self, *, limit: int, sure: Callable[[], bool] = lambda: True, now: datetime | None = None
    ) -> list[UUID]:
        """Declare workers lost whose lease ended; their row locks decide between a late heartbeat and this.

        sure: asked once the rows are locked; no, and nobody is declared lost.
        """
        with self.atomic():
            late = Worker.objects.using(self.alias).filter(
                state__in=["running", "stopping"], lease_until__lt=self.clock(now)
            )
            ids = list(self.locked(late).order_by("pk").values_list("pk", flat=True)[:limit])
            if not sure():
                return []
            Worker.objects.using(self.alias).filter(pk__in=ids).update(state="lost", busy=0)
        return ids

    def declare_lost(self, *ids: UUID) -> None:
        workers = Worker.objects.using(self.alias).filter(pk__in=ids, state__in=["running", "stopping"])
        workers.update(state="lost", busy=0)

    def note_lag(self, worker_id: UUID, *, seconds: float) -> None:
        """Keep how late an overloaded worker's threads start; 0 once they do not."""
        Worker.objects.using(self.alias).filter(pk=worker_id).update(lag=seconds)

    def orphans(
        self, *, limit: int, workers: Sequence[UUID] | None = None
    ) -> list[tuple[UUID, UUID, str, int, UUID]]:
        """Return claims (run, token, task, crash_count, worker) whose incarnation is not alive; of some, or of all."""
        alive = Worker.objects.using(self.alias).filter(state__in=["running", "stopping"]).values("pk")
        claims = Claim.objects.using(self.alias).exclude(worker_id__in=alive)
        if workers is not None:
            claims = claims.filter(worker_id__in=workers)
        names = ("run_id", "token", "task_id", "run__crash_count", "worker_id")
        return list(claims.order_by("run_id").values_list(*names)[:limit])

    def locked_runs(self, runs: Iterable[UUID]) -> set[UUID]:
        """Return those whose row somebody else has locked, where the database knows row locks; waits for nobody."""
        return set()

    def locked(self, rows: Any) -> Any:
        features = self.connection.features
        if not features.has_select_for_update:
            return rows
        return rows.select_for_update(skip_locked=features.has_select_for_update_skip_locked)

    # --- events, logs ------------------------------------------------------------------------------------

    def note(
        self, *, progress: Sequence[Progress], logs: Sequence[LogLine], now: datetime | None = None
    ) -> None:
        """Append what running bodies said: newest progress, and log lines."""
        moment = self.clock(now)
        if progress:
            RunEvent.objects.using(self.alias).bulk_create(
                [
                    RunEvent(
                        run_id=p.run_id,
                        attempt=p.attempt,
                        kind=Kind.PROGRESS,
                        data=codec.decode(p.data),  # the column's field writes it as text again
                        at=moment,
                    )
                    for p in progress
                ]
            )
        if logs:
            RunLog.objects.using(self.alias).bulk_create(
                [
                    RunLog(
                        run_id=line.run_id,
                        attempt=line.attempt,
                        level=line.level,
                        text=line.text,
                        at=moment - timedelta(seconds=line.age),
                    )
                    for line in logs
                ]
            )

    def note_late(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Outcome]:
        """Record results that came too late; return those of ``outcomes`` that had been accepted before."""
        tokens = {o.token for o in outcomes}
        runs = {o.run_id for o in outcomes}
        with self.atomic():
            told = RunEvent.objects.using(self.alias).filter(run_id__in=runs, token__in=tokens)
            kinds = {(run, token): kind for run, token, kind in told.values_list("run_id", "token", "kind")}
            attempts = dict(Run.objects.using(self.alias).filter(pk__in=runs).values_list("pk", "attempt"))
            moment = self.clock(now)
            RunEvent.objects.using(self.alias).bulk_create(
                [
                    RunEvent(
                        run_id=o.run_id,
                        attempt=attempts[o.run_id] if o.attempt is None else o.attempt,
                        kind=Kind.LATE_RESULT_DISCARDED,
                        token=o.token,
                        data={"kind": str(o.kind)},
                        at=moment,
                    )
                    for o in outcomes
                    if (o.run_id, o.token) not in kinds and o.run_id in attempts
                ],
                ignore_conflicts=True,
            )
        mine = ((o, kinds.get((o.run_id, o.token), Kind.LATE_RESULT_DISCARDED)) for o in outcomes)
        return [o.become(kind) for o, kind in mine if kind != Kind.LATE_RESULT_DISCARDED]

    def note_announced_again(self, rows: Sequence[Announcement], *, now: datetime | None = None) -> None:
        """Tell in the history of these runs that their message had to be sent once more."""
        moment = self.clock(now)
        RunEvent.objects.using(self.alias).bulk_create(
            [
                RunEvent(
                    run_id=row.run_id,
                    attempt=row.attempt,
                    kind=Kind.ANNOUNCED_AGAIN,
                    data={"seq": row.seq, "tries": row.tries, "runtime": row.runtime},
                    at=moment,
                )
                for row in rows
            ]
        )

    # --- sweeps ------------------------------------------------------------------------------------------

    def take_turn(self, name: str, *, every: timedelta, now: datetime | None = None) -> bool:
        """Tell whether this process should do the sweep now: nobody did it within ``every``."""
        moment = self.clock(now)
        sweeps = Sweep.objects.using(self.alias)
        mine = sweeps.filter(name=name).filter(Q(last_at__lte=moment - every) | Q(last_at__gt=moment + every))
        if mine.update(last_at=moment):
            return True
        if sweeps.filter(name=name).exists():
            return False
        _, made = sweeps.get_or_create(name=name, defaults={"last_at": moment})
        return made

    def outbox_queues(self, *, runtime: str) -> list[str]:
        """Return the queues of a runtime that have ready rows, by a loose walk of the claim's index."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                """
                WITH RECURSIVE walk (queue) AS (
                    SELECT min(queue) FROM openqueue_outbox WHERE ready AND runtime = %(runtime)s
                    UNION ALL
                    SELECT (SELECT min(queue) FROM openqueue_outbox
                            WHERE ready AND runtime = %(runtime)s AND queue > walk.queue)
                    FROM walk WHERE walk.queue IS NOT NULL
                )
                SELECT queue FROM walk WHERE queue IS NOT NULL
                """,
                {"runtime": runtime},
            )
            return [row[0] for row in cursor.fetchall()]

    def expired(self, *, limit: int, now: datetime | None = None) -> list[tuple[UUID, int]]:
        rows = Outbox.objects.using(self.alias).filter(expires_at__lte=self.clock(now))
        return list(rows.order_by("expires_at").values_list("run_id", "seq")[:limit])

    def defer_unknown(
        self,
        *,
        runtime: str,
        queues: Sequence[str],
        known: Sequence[str],
        older_than: timedelta,
        limit: int,
        now: datetime | None = None,
    ) -> list[tuple[UUID, int, str, int]]:
        """Put back, later each time, due rows that nobody took and no live worker has a task for."""
        moment = self.clock(now)
        known = sorted({*known, *self.served_tasks()})
        queues = sorted({*queues} - self.paused())
        with self.atomic():
            rows = Outbox.objects.using(self.alias).filter(
                ready=True,
                runtime=runtime,
                queue__in=queues,
                due_at__lte=moment - older_than,
                announce_at__lte=moment,
            )
            found = list(self.locked(rows.exclude(task_id__in=known)).order_by("run_id")[:limit])
            for row in found:
                row.announce_at = moment + timedelta(seconds=min(900, 2 ** min(row.tries - row.heard, 10)))
                row.tries += 1
                row.last_error = Reason.UNKNOWN_TASK
            Outbox.objects.using(self.alias).bulk_update(found, ["announce_at", "tries", "last_error"])
        return [(row.run_id, row.seq, row.task_id, row.tries - row.heard) for row in found]

    def served_tasks(self) -> set[str]:
        """Return the ids of all tasks that some live worker has registered, or that are defined for such workers."""
        alive = Worker.objects.using(self.alias).filter(state__in=["running", "stopping"])
        defined = TaskDefinition.objects.using(self.alias).values_list("task_id", flat=True)
        return {*defined, *(task for tasks in alive.values_list("tasks", flat=True) for task in tasks)}

    def request_cancel(self, runs: Sequence[UUID], *, actor: str, now: datetime | None = None) -> list[UUID]:
        """Mark the claims of ``runs``; their workers hear of it with the next heartbeat."""
        moment = self.clock(now)
        with self.atomic():
            claims = Claim.objects.using(self.alias).filter(run_id__in=runs)
            if self.connection.features.has_select_for_update:
                claims = claims.select_for_update()
            held = list(claims.order_by("run_id").values_list("run_id", "attempt", "cancel_requested_at"))
            fresh = [(run, attempt) for run, attempt, asked in held if asked is None]
            Claim.objects.using(self.alias).filter(run_id__in=[run for run, _ in fresh]).update(
                cancel_requested_at=moment, cancel_requested_by=actor
            )
            RunEvent.objects.using(self.alias).bulk_create(
                [
                    RunEvent(run_id=run, attempt=attempt, kind=Kind.CANCEL_REQUESTED, actor=actor, at=moment)
                    for run, attempt in fresh
                ]
            )
        return [run for run, _, _ in held]

    def move(self, queue: str, *, runtime: str, actor: str, now: datetime | None = None) -> tuple[int, int]:
        """Put what waits in a queue on another runtime, all or none; return how many wait, and how many run."""
        return moving.move(self, queue, runtime=runtime, actor=actor, now=now)

    def prune(self, status: Status, *, before: datetime, limit: int) -> int:
        """Delete a bounded chunk of what ended so, with events and logs, oldest first; a flow goes as a whole."""
        return pruning.prune(self, status, before=before, limit=limit)

    def prune_logs(self, *, before: datetime, limit: int) -> int:
        logs = RunLog.objects.using(self.alias)
        ids = list(logs.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:limit])
        return logs.filter(pk__in=ids)._raw_delete(self.alias) or 0  # None when there were none

    def prune_workers(self, *, before: datetime) -> int:
        """Delete the rows of incarnations that ended long ago and hold no claim."""
        ended = Worker.objects.using(self.alias).filter(state__in=["stopped", "lost"], lease_until__lt=before)
        holding = Claim.objects.using(self.alias).values("worker_id")
        return ended.exclude(pk__in=holding)._raw_delete(self.alias)

    def paused(self) -> set[str]:
        return wishes.paused(self)

    def bury(self, letter: DeadLetter, *, now: datetime | None = None) -> None:
        letter.at = self.clock(now)
        letter.save(using=self.alias, force_insert=True)
