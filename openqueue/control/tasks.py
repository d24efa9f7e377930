"""Tasks: list them, trigger them by their ids, as an operator or for a caller from outside."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from openqueue import orders, registry
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.callers import Caller
from openqueue.errors import FieldError, NotAllowed, PayloadInvalid, TaskDeclarationError, UnknownTask
from openqueue.handle import RunHandle
from openqueue.options import NAMES
from openqueue.orders import Bound, Order
from openqueue.orders import trigger as order
from openqueue.store import store
from openqueue.wording import say as _

SUGGESTED: Final = 3
OPTIONS: Final = NAMES - {"atomic"}
"""Options of ``using()`` that a caller from outside may change."""
FARTHEST: Final = timedelta(days=36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """One task as it is declared here."""

    id: str
    description: str
    """The first line of its docstring."""
    queue: str
    priority: int
    max_attempts: int
    timeout: float | None
    """Seconds for one attempt."""
    ttl: float | None
    """Seconds from the due time to the first start."""
    tags: Sequence[str]
    enqueueable: bool
    """Whether it may be triggered from outside."""
    secret: Sequence[str]
    """Arguments that are stored encrypted and never shown."""
    schema: Mapping[str, Any]
    """JSON Schema of its payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A run that a caller from outside wants."""

    task_id: str
    payload: Mapping[str, Any]
    options: Mapping[str, Any]


def trigger(task_id: str, payload: Mapping[str, Any], *, actor: Actor, **options: Any) -> RunHandle[Any]:
    """Create a run and the record of who asked for it; ``options`` are those of ``using()``.

    Raises:
        UnknownTask: no task of this id is registered here.
        PayloadInvalid: the payload does not fit the signature; nothing was written.
        TaskDeclarationError: an option is wrong.
    """
    with store().atomic():
        run = order(task_id, payload, **options)
        facts = {"task_id": run.task_id, "queue": run.queue}
        audit.record([Act("run.trigger", f"run {run.id}", after=facts)], actor=actor)
    return run


def trigger_for(caller: Caller, wishes: Sequence[Wish], *, many: bool) -> list[RunHandle[Any]]:
    """Create runs for a caller from outside, all or none, and one line of the record.

    Raises:
        UnknownTask: no such task exists for the caller.
        NotAllowed: the caller may not trigger it there, or nobody may from outside.
        PayloadInvalid: payloads or options are wrong; each fault has its path in the request.
        UnsupportedCapability: an option that the queue's runtime cannot keep.
    """
    calls = bound(caller, wishes, paths=[f"runs[{n}]." for n in range(len(wishes))] if many else [""])
    with store().atomic():
        runs = orders.trigger_many(calls)
        audit.record([_act(runs, many=many)], actor=caller.actor)
    return runs


def bound(caller: Caller, wishes: Sequence[Wish], *, paths: Sequence[str]) -> list[Bound[Any]]:
    """Return calls, checked; ``paths`` say where in the request each is. Raises as ``trigger_for`` does."""
    made: dict[tuple[str, str], Order[..., Any]] = {}
    calls, faults = [], []
    for path, wish in zip(paths, wishes, strict=True):
        key = wish.task_id, json.dumps(wish.options, sort_keys=True) if wish.options else ""
        try:
            if key not in made:
                made[key] = occasion(caller, wish)
        except (PayloadInvalid, TaskDeclarationError) as error:
            found = error.errors if isinstance(error, PayloadInvalid) else [FieldError("options", str(error))]
            faults += [(path + fault.path, fault.reason) for fault in found]
            continue
        chosen = made[key]
        try:
            payload = chosen.encode((), wish.payload)
        except PayloadInvalid as error:
            faults += [(below(f"{path}payload", fault.path), fault.reason) for fault in error.errors]
        else:
            calls.append(Bound(task=chosen.task, options=chosen.options, payload=payload))
    if faults:
        raise PayloadInvalid(faults)
    return calls


def _act(runs: Sequence[RunHandle[Any]], *, many: bool) -> Act:
    if many:
        ids = [str(run.id) for run in runs]
        return Act("run.trigger", f"{len(runs)} runs", after={"runs": ids})
    (run,) = runs
    return Act("run.trigger", f"run {run.id}", after={"task_id": run.task_id, "queue": run.queue})


def below(path: str, inner: str) -> str:
    """Return the path of a payload's fault in the request."""
    return path if inner == "payload" else path + inner if inner.startswith("[") else f"{path}.{inner}"


def occasion(caller: Caller, wish: Wish) -> Order[..., Any]:
    """Return the task with these options, if the caller may trigger it so. Raises as ``trigger_for`` does."""
    task = registry.get(wish.task_id)
    if not caller.sees(task.options.queue):
        raise UnknownTask(wish.task_id)
    unknown = sorted(set(wish.options) - OPTIONS)
    if unknown:
        known = ", ".join(sorted(OPTIONS))
        raise PayloadInvalid(
            [(f"options.{name}", _("is no option. There are: {known}", known=known)) for name in unknown]
        )
    options = dict(wish.options)
    if options.get("run_at") is not None:
        options["run_at"] = _moment(options["run_at"])
    chosen: Order[..., Any] = task.using(**options) if options else Order(task, task.options)
    if not caller.may_trigger(wish.task_id, queue=chosen.options.queue):
        raise NotAllowed(
            _(
                "{name} may not trigger {task_id} in queue {queue!r}.",
                name=caller.actor.name,
                task_id=wish.task_id,
                queue=chosen.options.queue,
            )
        )
    if not task.api_enqueueable:
        raise NotAllowed(
            _(
                "{task_id} is declared with api_enqueueable=False: only code may trigger it.",
                task_id=wish.task_id,
            )
        )
    return chosen


def _moment(text: Any) -> datetime:
    """Read ISO 8601 with an offset: whoever calls from outside does not know this project's zone."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and abs(at - datetime.now(UTC)) < FARTHEST:
            return at.astimezone(UTC)  # Python knows offsets that databases do not
    except (TypeError, ValueError, OverflowError):
        pass
    raise PayloadInvalid(
        [
            (
                "options.run_at",
                _("must be a moment with its offset, 2027-03-01T09:00:00Z, within a hundred years"),
            )
        ]
    )


def listing(caller: Caller) -> list[TaskFacts]:
    """Return the tasks that exist for a caller, by id."""
    tasks = dict(sorted(registry.everywhere().items()))
    return [_facts(task) for task in tasks.values() if caller.sees(task.options.queue)]


def one(task_id: str, caller: Caller) -> TaskFacts:
    """Return one task.

    Raises:
        UnknownTask: no such task exists for the caller.
    """
    task = registry.get(task_id)
    if not caller.sees(task.options.queue):
        raise UnknownTask(task_id)
    return _facts(task)


def _facts(task: Any) -> TaskFacts:
    options = task.options
    return TaskFacts(
        id=task.id,
        description=(task.function.__doc__ or "").strip().partition("\n")[0],
        queue=options.queue,
        priority=options.priority,
        max_attempts=options.max_attempts,
        timeout=options.timeout,
        ttl=options.ttl,
        tags=list(options.tags),
        enqueueable=task.api_enqueueable,
        secret=list(task.secret),
        schema=task.signature.json_schema(),
    )


def similar(task_id: str) -> list[str]:
    """Return registered ids that may have been meant: the same function elsewhere, or one spelt alike."""
    known = sorted(registry.index())
    function = task_id.rpartition(".")[2]
    namesakes = [name for name in known if name.rpartition(".")[2] == function]
    return list(dict.fromkeys(namesakes + difflib.get_close_matches(task_id, known, n=SUGGESTED)))[:SUGGESTED]
