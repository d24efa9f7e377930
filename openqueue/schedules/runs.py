"""From a schedule to its runs: the task it names, the options it changes, the payload it holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from openqueue import codec, registry, retry, runtimes, secrets
from openqueue.conf import config
from openqueue.errors import ScheduleInvalid, UnsupportedCapability
from openqueue.models import Schedule
from openqueue.options import Options
from openqueue.orders import Bound, Facts, Order
from openqueue.types import NewRun
from openqueue.wording import say as _

OPTIONS: Final = frozenset({"queue", "priority", "max_attempts", "backoff", "timeout", "ttl", "tags", "meta"})
"""What a schedule may change of its task's options."""


class Makers:
    """Makes the runs of a page of schedules; what many of them share is worked out once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], tuple[Options, Facts]] = {}

    def run(self, row: Schedule, *, tick: datetime | None) -> NewRun:
        """Return one run of this schedule, for a tick or because somebody asked for it.

        Raises:
            UnknownTask: no task of this id is registered here.
            PayloadInvalid: the payload does not fit the task's signature any more.
            OpenQueueError: and whatever else a trigger refuses.
        """
        task = registry.get(row.task_id)
        kept = codec.encode(row.options, what="options", limit=config.payload_limit) if row.options else ""
        key = (row.task_id, kept)
        if key not in self.known:
            options = options_of(task, row.options)
            self.known[key] = options, Facts.usual(task, options)
        options, facts = self.known[key]
        check_payload(task, row.payload)
        payload = codec.encode(row.payload, what="payload", limit=config.payload_limit)
        run = Bound(task=task, options=options, payload=payload).new_run(traceparent=None, facts=facts)
        meta = dict(options.meta) | {"schedule": row.key}
        if tick is not None:
            meta["tick"] = tick.isoformat()
        return run._replace(
            meta=codec.encode(meta, what="meta", limit=config.payload_limit),
            run_at=tick,
            delay=0.0,
            schedule_id=row.pk,
            dedupe_key=None,  # ticks are unique by themselves, and overlap= says what meets a run that goes on
        )


def options_of(task: Any, kept: Mapping[str, Any] | None) -> Options:
    """Return the options of a schedule's runs: the task's, and over them those that the schedule keeps."""
    if not kept:
        return cast(Options, task.options)
    changes = dict(kept)
    if "backoff" in changes:
        changes["backoff"] = retry.Backoff.from_json(changes["backoff"])
    return Order(task, task.options).using(**changes).options


def kept_options(task: Any, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return options as a schedule keeps them, after a look at whether a trigger would take them.

    Raises:
        ScheduleInvalid: an option that no schedule has.
        TaskDeclarationError: a value that a trigger refuses.
        UnsupportedCapability: an option that the queue's runtime cannot keep.
    """
    unknown = sorted(set(given) - OPTIONS)
    if unknown:
        known = ", ".join(sorted(OPTIONS))
        raise ScheduleInvalid(
            [
                (name, _("is no option of a schedule's runs; there are: {known}", known=known))
                for name in unknown
            ]
        )
    options = Order(task, task.options).using(**given).options if given else task.options
    refuse_what_no_runtime_keeps(task, options)
    if not given:
        return None
    kept = {name: getattr(options, name) for name in given}
    if "backoff" in kept:
        kept["backoff"] = retry.Backoff.of(cast(Any, kept["backoff"])).to_json()
    for name, kind in (("tags", list), ("meta", dict)):
        if name in kept:
            kept[name] = kind(kept[name])
    return kept


def refuse_what_no_runtime_keeps(task: Any, options: Options) -> None:
    """Raise UnsupportedCapability where the queue's runtime has no schedules, or cannot keep an option."""
    refuse_without_schedules(options.queue)
    Facts.of(task, options)


def refuse_without_schedules(queue: str) -> None:
    """Raise UnsupportedCapability where the queue's runtime promises no schedules."""
    if not runtimes.get(config.runtime_of(queue).alias).capabilities.schedules:
        raise UnsupportedCapability(
            _(
                "The runtime of queue {queue!r} has no schedules. Send the task to a queue whose runtime has them.",
                queue=queue,
            )
        )


def check_payload(task: Any, payload: Mapping[str, Any]) -> None:
    opened = secrets.unseal(payload, fields=task.secret) if task.secret else payload
    task.signature.load(opened)
