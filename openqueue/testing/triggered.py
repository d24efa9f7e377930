"""What was triggered, as a test reads it: Python values in place of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from openqueue import codec, payloads, registry, secrets
from openqueue.errors import OpenQueueError
from openqueue.models import Run
from openqueue.retry import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """One run, as it was triggered and as it stands."""

    id: UUID
    task_id: str
    arguments: Mapping[str, Any]
    """What was given, as the types that the body will see; defaults that were left out are not in it."""
    queue: str
    runtime: str
    priority: int
    max_attempts: int
    timeout: float | None
    """Seconds for one attempt."""
    backoff: Mapping[str, Any] | None
    """As JSON; None when the task is not registered here."""
    ttl: float | None
    """Seconds from the due time to the first start."""
    delay: float
    """Seconds from the trigger to the due time."""
    run_at: datetime
    """The first due time."""
    dedupe_key: str | None
    tags: Sequence[str]
    meta: Mapping[str, Any]
    created_at: datetime
    status: str
    reason: str
    attempt: int
    result: Any
    error: Mapping[str, Any] | None

    @classmethod
    def of(cls, run: Run) -> Self:
        """Read a row."""
        task: Any = registry.index().get(run.task_id)
        declared: Any = getattr(task, "options", None)
        own: dict[str, Any] = run.options or {}
        backoff = own.get("backoff") or (declared and Backoff.of(declared.backoff).to_json())
        return cls(
            id=run.pk,
            task_id=run.task_id,
            arguments=arguments(task, payloads.opened(run.payload)),
            queue=run.queue,
            runtime=run.runtime,
            priority=run.priority,
            max_attempts=run.max_attempts,
            timeout=own.get("timeout", getattr(declared, "timeout", None)),
            backoff=backoff,
            ttl=None if run.expires_at is None else (run.expires_at - run.scheduled_for).total_seconds(),
            delay=(run.scheduled_for - run.created_at).total_seconds(),
            run_at=run.scheduled_for,
            dedupe_key=run.dedupe_key,
            tags=run.tags or [],
            meta=run.meta or {},
            created_at=run.created_at,
            status=run.status,
            reason=run.reason,
            attempt=run.attempt,
            result=run.result,
            error=run.error,
        )

    def shown_arguments(self) -> dict[str, str]:
        """Return the arguments for a message, secret ones masked."""
        hidden = getattr(registry.index().get(self.task_id), "secret", ())
        return {
            name: secrets.MASK if name in hidden else codec.clip(repr(value), limit=SHOWN)
            for name, value in self.arguments.items()
        }


SHOWN = 200
"""Bytes of one value in a message."""


def arguments(task: Any, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that the body will get; as they are stored where they no longer fit its signature."""
    if task is None:
        return dict(payload)
    try:
        return dict(task.signature.load(secrets.unseal(payload, fields=task.secret)))
    except OpenQueueError:
        return dict(payload)
