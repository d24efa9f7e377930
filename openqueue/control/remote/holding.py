"""Attempts that workers over HTTP hold, read with what their ends need: one statement, whatever their number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from openqueue import codec, payloads, registry, secrets
from openqueue.control.remote.leases import Lease
from openqueue.definitions.defined import DefinedTask
from openqueue.models import Claim
from openqueue.store import store
from openqueue.types import Claimed

READ = (
    "attempt", "cancel_requested_at", "claimed_at", "queue", "seq", "task_id", "token", "worker_id",
    "run__crash_count", "run__dedupe_key", "run__flow_id", "run__max_attempts", "run__options", "run__payload",
)  # fmt: skip


class Holding(NamedTuple):
    """An attempt that is held."""

    attempt: Claimed
    task: Any
    cancel_requested: bool
    claimed_at: datetime

    @property
    def timeout(self) -> float | None:
        """Seconds that it may take."""
        options = codec.decode(self.attempt.options) if self.attempt.options else {}
        told: float | None = options.get("timeout", self.task.options.timeout)
        return told

    def mask(self, value: Any) -> Any:
        """Return a JSON value without this run's secrets."""
        if not self.task.secret:
            return value
        payload = secrets.unseal(payloads.decode(self.attempt.payload), fields=self.task.secret)
        return secrets.hide(value, payload=payload, fields=self.task.secret)


def held(leases: Sequence[Lease]) -> dict[tuple[UUID, UUID], Holding]:
    """Return those of these attempts that are still held, by (run, token)."""
    rows = Claim.objects.using(store().alias).filter(run_id__in=[lease.run_id for lease in leases])
    wanted = {lease[:2] for lease in leases}
    return {place: one for place, one in _read(rows) if place in wanted}


def of_worker(worker: UUID) -> dict[tuple[UUID, UUID], Holding]:
    """Return all that a worker holds."""
    return dict(_read(Claim.objects.using(store().alias).filter(worker_id=worker)))


def tasks(names: Collection[str]) -> dict[str, Any]:
    """Return these tasks; definitions are read only where one is not of this code."""
    index: dict[str, Any] = registry.index()
    return index if all(name in index for name in names) else registry.everywhere()


def _read(claims: Any) -> list[tuple[tuple[UUID, UUID], Holding]]:
    rows = list(claims.select_related("run").only(*READ))
    known = tasks({row.task_id for row in rows})
    return [
        (
            (row.run_id, row.token),
            Holding(
                attempt=_claimed(row),
                task=known.get(row.task_id) or _withdrawn(row),
                cancel_requested=row.cancel_requested_at is not None,
                claimed_at=row.claimed_at,
            ),
        )
        for row in rows
    ]


def _withdrawn(row: Any) -> DefinedTask:
    """Return what stands for a task that was withdrawn while this run was held: what was sealed stays a secret."""
    payload: dict[str, Any] = row.run.payload
    sealed = [
        name
        for name, value in payload.items()
        if isinstance(value, dict) and set(value) == {secrets.ENVELOPE}
    ]
    declaration = {"secret": sealed}
    return DefinedTask(row.task_id, queue=row.queue, declaration=declaration)


def _claimed(row: Any) -> Claimed:
    run = row.run
    return Claimed(
        run_id=row.run_id,
        token=row.token,
        worker_id=row.worker_id,
        seq=row.seq,
        attempt=row.attempt,
        task_id=row.task_id,
        queue=row.queue,
        payload=codec.encode(run.payload, what="payload", limit=2**31 - 1),
        max_attempts=run.max_attempts,
        crash_count=run.crash_count,
        meta=None,
        options=codec.encode(run.options, what="options", limit=2**31 - 1) if run.options else None,
        traceparent=None,
        flow_id=run.flow_id,
        dedupe_key=run.dedupe_key,
    )
