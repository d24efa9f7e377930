"""From a past run to a new one, or to the reason why not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from openqueue import codec, payloads, registry, runtimes, secrets
from openqueue.conf import config
from openqueue.control.replay.pages import Found
from openqueue.control.replay.report import Tally, Why
from openqueue.control.replay.wanted import Wanted
from openqueue.core.trigger import head_start
from openqueue.errors import PayloadInvalid, SecretsUnavailable, SecretUnreadable
from openqueue.ids import uuid7
from openqueue.models import Run
from openqueue.states import Status
from openqueue.types import NewRun

UNASKED: Final = {Status.CANCELLED: Why.CANCELLED, Status.EXPIRED: Why.EXPIRED}
AS_IT_WAS: Final = 2**31 - 1
"""No limit for what was stored before."""


def make(
    found: Sequence[Found],
    *,
    wanted: Wanted,
    ended: Collection[UUID],
    before: Collection[UUID],
    repeated: Collection[UUID] = (),
    most: int,
    traceparent: str | None = None,
) -> tuple[list[NewRun], int, Tally]:
    """Return new runs, how much was looked at until there were ``most``, and the counts of that.

    ended: the past runs that have.
    before: those that were replayed before.
    repeated: those that this very replay has made already.
    """
    made: dict[UUID, NewRun] = {}
    tally = Tally()
    for looked_at, one in enumerate(found):
        if len(made) == most:
            return list(made.values()), looked_at, tally
        run, why, detail = one.run, one.why, one.detail
        if run is not None:
            again = run.pk in made or run.pk in repeated
            why = Why.REPEATED if again else _objection(run, wanted=wanted, ended=ended, before=before)
        if run is not None and why is None:
            task = registry.get(run.task_id)
            try:
                made[run.pk] = new_run(
                    run,
                    queue=wanted.to_queue or run.queue,
                    payload=payload_of(run, task),
                    traceparent=traceparent,
                )
            except (SecretUnreadable, SecretsUnavailable) as error:
                why, detail = Why.SECRET_UNREADABLE, str(error)
            except PayloadInvalid as error:
                why, detail = Why.CHANGED_SIGNATURE, _shown(error, run, task)
            else:
                tally.made[run.task_id] += 1
                tally.secrets += bool(task.secret) and any(
                    name in payloads.opened(run.payload) for name in task.secret
                )
        if why is Why.UNKNOWN_TASK and run is not None:
            detail = run.task_id
        if why is not None:
            tally.leave(one.named if run is None else run.pk, why, detail=detail)
    return list(made.values()), len(found), tally


def _objection(run: Run, *, wanted: Wanted, ended: Collection[UUID], before: Collection[UUID]) -> Why | None:
    if run.pk not in ended:
        return Why.UNFINISHED
    if not wanted.statuses and (unasked := UNASKED.get(Status(run.outcome or ""))):
        return unasked
    if run.pk in before and not wanted.again:
        return Why.REPLAYED_BEFORE
    if registry.find(run.task_id) is None:
        return Why.UNKNOWN_TASK
    runtime = config.runtime_of(wanted.to_queue or run.queue).alias
    if run.priority and not runtimes.get(runtime).capabilities.priorities:
        return Why.NO_PRIORITIES
    return None


def new_run(
    run: Run,
    *,
    queue: str,
    payload: str,
    traceparent: str | None,
    concurrency_key: str | None = None,
    ordering_key: str | None = None,
) -> NewRun:
    """Return a run like a past one, on the runtime where its queue is now. Keys that are not given are its own."""
    runtime = config.runtime_of(queue).alias
    ttl = None if run.expires_at is None else (run.expires_at - run.scheduled_for) / timedelta(seconds=1)
    new = uuid7()
    return NewRun(
        id=new,
        task_id=run.task_id,
        queue=queue,
        runtime=runtime,
        payload=payloads.kept(payload, run=new),
        priority=run.priority,
        max_attempts=run.max_attempts,
        ttl=ttl,
        head_start=head_start(runtime),
        meta=_text(run.meta),
        tags=_text(run.tags),
        options=_text(run.options),
        traceparent=traceparent,
        replay_of=run.pk,
        concurrency_key=concurrency_key or run.concurrency_key,
        ordering_key=ordering_key or run.ordering_key,
    )


def payload_of(run: Run, task: Any) -> str:
    """Return the arguments as a trigger would write them now: checked by the signature, secrets under today's key.

    Raises:
        PayloadInvalid: they do not fit any more.
        SecretUnreadable: no key fits.
    """
    payload = _unsealed(run, task)
    if sealed := [name for name, value in payload.items() if _is_sealed(value)]:
        raise PayloadInvalid([(name, "was a secret argument, and is none any more") for name in sealed])
    try:
        task.signature.load(payload)
    except PayloadInvalid:
        raise
    except Exception as error:  # declared types may raise anything
        raise PayloadInvalid([("payload", f"is refused by its type: {type(error).__name__}")]) from error
    if task.secret:
        payload = secrets.seal(payload, fields=task.secret)
    return payloads.encode(payload)


def _unsealed(run: Run, task: Any) -> dict[str, Any]:
    payload: dict[str, Any] = payloads.opened(run.payload)
    return secrets.unseal(payload, fields=task.secret) if task.secret else payload


def _is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {secrets.ENVELOPE}


def _shown(error: PayloadInvalid, run: Run, task: Any) -> str:
    """Return what is wrong with the arguments; a secret one must not be in it."""
    hidden = secrets.hide(str(error), payload=_unsealed(run, task), fields=task.secret)
    return str(hidden)


def _text(value: Any) -> str | None:
    return None if value is None else codec.encode(value, what="replay", limit=AS_IT_WAS)
