"""One past run once more, with the same arguments or with other ones: a new run that names it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from openqueue import limits, payloads, registry, runtimes, secrets
from openqueue.conf import config
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.replay import making
from openqueue.core import transitions, trigger
from openqueue.errors import PayloadInvalid, UnsupportedCapability
from openqueue.models import Run, RunEvent
from openqueue.orders import Order
from openqueue.states import Kind
from openqueue.store import store
from openqueue.telemetry import otel
from openqueue.wording import say as _


def repeat(run_id: UUID, *, payload: Mapping[str, Any] | None, actor: Actor, reason: str = "") -> UUID | None:
    """Create a run like a past one; return it, or None where that has not ended.

    The new one keeps queue, priority, limits, tags, meta and options of the old one, which stays as it ended: a line of
    its history tells by which run it was repeated, and by whom. It takes no dedupe key.

    payload: arguments in place of the old ones; "[secret]" for a secret one keeps it. None: the old ones.

    Raises:
        UnknownTask: its task is not registered here.
        PayloadInvalid: the arguments do not fit the task; no secret is in the text.
        UnsupportedCapability: it has a priority, and the runtime of its queue keeps none.
    """
    return transitions.again(partial(_repeat, run_id, payload=payload, actor=actor, reason=reason))


def _repeat(run_id: UUID, *, payload: Mapping[str, Any] | None, actor: Actor, reason: str) -> UUID | None:
    with store().atomic():
        rows = Run.objects.using(store().alias).filter(pk=run_id, outcome__isnull=False)
        features = store().connection.features
        if features.has_select_for_update:  # nobody begins it anew meanwhile
            rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
        run = rows.first()
        if run is None:
            return None
        task = registry.get(run.task_id)
        runtime = config.runtime_of(run.queue).alias
        if run.priority and not runtimes.get(runtime).capabilities.priorities:
            raise UnsupportedCapability(
                _(
                    "Run {run_id} has priority {priority}, and queue {queue!r} is on {runtime!r}, which "
                    "keeps none.",
                    run_id=run_id,
                    priority=run.priority,
                    queue=run.queue,
                    runtime=runtime,
                )
            )
        with otel.producer_span(run.task_id, queue=run.queue, count=1):
            new = making.new_run(
                run, queue=run.queue, traceparent=otel.capture(), **_changed(run, task, payload)
            )
        trigger.trigger([new], atomic=False)
        facts = {"run": str(new.id), "edited": payload is not None}
        RunEvent(
            run_id=run_id,
            attempt=run.attempt,
            kind=Kind.REPLAYED,
            actor=actor.name,
            data=facts,
            at=store().clock(None),
        ).save(using=store().alias, force_insert=True)
        audit.record([Act("run.replay", f"run {run_id}", after=facts)], actor=actor, reason=reason)
    return new.id


def _changed(run: Run, task: Any, payload: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what of a new run follows from its arguments, where they are others."""
    if payload is None:
        return {"payload": making.payload_of(run, task)}
    old = payloads.opened(run.payload)
    old = secrets.unseal(old, fields=task.secret) if task.secret else old
    arguments = edited(payload, old=old, task=task)
    try:
        text = Order(task, task.options).encode((), arguments)
    except PayloadInvalid as error:
        hidden = secrets.hide([list(fault) for fault in error.errors], payload=arguments, fields=task.secret)
        raise PayloadInvalid((path, reason) for path, reason in hidden) from None
    return {"payload": text} | _keys(run, task, arguments)


def edited(payload: Mapping[str, Any], *, old: Mapping[str, Any], task: Any) -> dict[str, Any]:
    """Return arguments that somebody edited who saw masks: one that was left keeps what it hid."""
    kept = {name: old[name] for name in task.secret if payload.get(name) == secrets.MASK and name in old}
    changed: dict[str, Any] = secrets.unveil(dict(payload), old=dict(old), names=config.mask_names)
    return changed | kept


def _keys(run: Run, task: Any, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys that the task makes of arguments; one that its trigger gave stays what it was."""
    found = {}
    for name in ("concurrency_key", "ordering_key"):
        template = getattr(task.options, name)
        if template is not None and getattr(run, name) is not None:
            found[name] = limits.fill(name, template, arguments)
    return found
