"""A task on one occasion: its options, its checked calls, and the runs they become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, cast
from uuid import UUID

from asgiref.sync import sync_to_async

from openqueue import codec, limits, payloads, registry, retry, runtimes, secrets
from openqueue.conf import config, load
from openqueue.core import trigger as core
from openqueue.core import uniqueness
from openqueue.errors import PayloadInvalid, TaskDeclarationError, UnsupportedCapability
from openqueue.handle import RunHandle
from openqueue.ids import uuid7
from openqueue.options import NAMES, Options
from openqueue.states import Status
from openqueue.telemetry import otel
from openqueue.types import Debounce, Holder, Key, NewRun

if TYPE_CHECKING:
    from openqueue.declaration import Task

P = ParamSpec("P")
R = TypeVar("R")
NOBODY: Final[Mapping[UUID, Holder]] = {}


class Order(Generic[P, R]):
    """A task with the options of one occasion: what ``using()`` returns."""

    __slots__ = ("options", "task")

    def __init__(self, task: Task[P, R], options: Options) -> None:
        self.task = task
        self.options = options

    def using(self, **options: Any) -> Order[P, R]:
        """Return the task with further options changed."""
        unknown = set(options) - NAMES
        if unknown:
            raise TaskDeclarationError(
                f"using() does not know {', '.join(sorted(unknown))}. It takes: {', '.join(sorted(NAMES))}."
            )
        if ("delay" in options) != ("run_at" in options):  # the newer one stands
            options = {"delay": None, "run_at": None} | options
        changed = replace(self.options, **options).checked()
        if changed.ordering_key or changed.concurrency_key:
            self.task.check_keys(changed)
        return Order(self.task, changed)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Bound[R]:
        """Return a checked call, to be triggered together with others."""
        return Bound(task=self.task, options=self.options, payload=self.encode(args, kwargs))

    def trigger(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Create a run; see `Task.trigger`."""
        return self.bind(*args, **kwargs).trigger()

    async def atrigger(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Create a run; it commits by itself."""
        return await sync_to_async(self.trigger)(*args, **kwargs)

    def trigger_many(self, payloads: Iterable[Mapping[str, Any]]) -> list[RunHandle[R]]:
        """Create many runs with a handful of statements; all or none."""
        bound, wrong = [], []
        for number, payload in enumerate(payloads):
            try:
                text = self.encode((), payload)
            except PayloadInvalid as error:
                wrong += [(f"[{number}].{path}", reason) for path, reason in error.errors]
            else:
                bound.append(Bound(task=self.task, options=self.options, payload=text))
        if wrong:
            raise PayloadInvalid(wrong)
        return cast("list[RunHandle[R]]", trigger_many(bound))

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        if not isinstance(kwargs, Mapping):
            raise PayloadInvalid(
                [("payload", f"is a {type(kwargs).__name__}; give a dictionary of arguments")]
            )
        payload = self.task.signature.dump(args, dict(kwargs))
        if self.task.secret:
            payload = secrets.seal(payload, fields=self.task.secret)
        return payloads.encode(payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound(Generic[R]):
    """One checked call that waits to be triggered."""

    task: Task[Any, R]
    options: Options
    payload: str

    def trigger(self) -> RunHandle[R]:
        """Create its run."""
        return cast("RunHandle[R]", trigger_one(self))

    def after(self, *calls: Bound[Any] | Branch) -> Branch:
        """Return a tree for `enqueue_flow`: this call, once all of these have completed."""
        return Branch(call=self, children=calls)

    def new_run(self, *, traceparent: str | None, facts: Facts) -> NewRun:
        """Return the run as it will be written."""
        o = self.options
        key, ordering = facts.concurrency_key, facts.ordering_key
        if facts.has_fields:
            arguments = codec.decode(self.payload)
            key = key and limits.fill("concurrency_key", key, arguments)
            ordering = ordering and limits.fill("ordering_key", ordering, arguments)
        if o.debounce is not None:
            payloads.refuse_stored(self.payload, why="a debounced run keeps its payload in its row")
        run = uuid7()
        return NewRun(
            id=run,
            task_id=self.task.id,
            queue=o.queue,
            runtime=facts.runtime,
            payload=payloads.kept(self.payload, run=run),
            priority=o.priority,
            max_attempts=o.max_attempts,
            delay=cast(float, o.debounce or o.delay or 0.0),
            run_at=o.run_at,
            ttl=cast("float | None", o.ttl),
            # what is due later nobody publishes on commit
            head_start=0.0 if core.is_later(o.debounce or o.delay, o.run_at) else facts.head_start,
            meta=facts.meta,
            tags=facts.tags,
            options=facts.options,
            traceparent=traceparent,
            concurrency_key=key,
            ordering_key=ordering,
            dedupe_key=o.dedupe_key,
        )

    def key(self, run: NewRun) -> Key | None:
        """Return the key that the run wants for itself."""
        o: Any = self.options  # durations are checked: seconds
        if o.dedupe_key is None:
            return None
        debounce = None
        if o.debounce is not None:
            debounce = Debounce(
                run.payload, run.delay, o.debounce_max, run.ttl, run.meta, run.tags, run.head_start
            )
        scope = uniqueness.scope(o.dedupe_scope, task_id=run.task_id, queue=run.queue)
        return Key(
            uniqueness.digest(scope, o.dedupe_key),
            scope,
            o.dedupe_key,
            run.id,
            window=o.dedupe_window or 0.0,
            until_start=o.dedupe_until == "start" or debounce is not None,
            debounce=debounce,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A call that waits for others: `enqueue_flow` makes a flow of it."""

    call: Bound[Any]
    children: Sequence[Bound[Any] | Branch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What all runs of one task and one set of options have in common, encoded once."""

    runtime: str
    head_start: float
    meta: str | None
    tags: str | None
    options: str | None
    concurrency_key: str | None
    ordering_key: str | None
    has_fields: bool
    """The keys are made of the arguments of each run."""

    @classmethod
    def usual(cls, task: Task[Any, Any], options: Options) -> Facts:
        """Return the facts; those of the options that the task declares are worked out once a setting."""
        if options is not task.options:
            return cls.of(task, options)
        setting = load()
        if task.usual_facts is None or task.usual_facts[0] is not setting:
            task.usual_facts = setting, cls.of(task, options)
        return task.usual_facts[1]

    @classmethod
    def of(cls, task: Task[Any, Any], options: Options) -> Facts:
        runtime = config.runtime_of(options.queue).alias
        if options.debounce is not None and options.dedupe_key is None:
            raise TaskDeclarationError(
                "debounce= needs a dedupe_key= that says which triggers belong together, as in "
                '.using(dedupe_key="report:7").trigger(...)'
            )
        if options.priority and not runtimes.get(runtime).capabilities.priorities:
            raise UnsupportedCapability(
                f"priority={options.priority}, but the runtime of queue {options.queue!r} knows no priorities. "
                f"{UnsupportedCapability.__doc__}"
            )
        changed: dict[str, Any] = {}
        if options.timeout != task.options.timeout:
            changed["timeout"] = options.timeout
        if options.backoff is not task.options.backoff:
            changed["backoff"] = retry.Backoff.of(cast(Any, options.backoff)).to_json()
        if options.dedupe_key is not None:
            terms = {"scope": options.dedupe_scope, "until": options.dedupe_until or "end"}
            if terms != uniqueness.USUAL:
                changed["dedupe"] = terms  # an operator's retry takes the key again
        limit = config.payload_limit
        key = options.concurrency_key or (f"{limits.TASK}{task.id}" if task.is_limited else None)
        return cls(
            runtime=runtime,
            head_start=core.head_start(runtime),
            meta=codec.encode(dict(options.meta), what="meta", limit=limit) if options.meta else None,
            tags=codec.encode(list(options.tags), what="tags", limit=limit) if options.tags else None,
            options=codec.encode(changed, what="options", limit=limit) if changed else None,
            concurrency_key=key,
            ordering_key=options.ordering_key,
            has_fields=any(brace in f"{options.concurrency_key} {options.ordering_key}" for brace in "{}"),
        )


def trigger_one(call: Bound[Any]) -> RunHandle[Any]:
    """Create one run: `trigger_many` without what only many need, since a request waits for it."""
    with otel.producer_span(call.task.id, queue=call.options.queue, count=1):
        run = call.new_run(traceparent=otel.capture(), facts=Facts.usual(call.task, call.options))
        key = call.key(run)
        if key is None:
            core.trigger([run], atomic=call.options.atomic)
            return handle(run)
        held = core.trigger_unique([run], keys=[key], atomic=call.options.atomic)
    return handle(run, held=held)


def trigger_many(calls: Iterable[Bound[Any]]) -> list[RunHandle[Any]]:
    """Create runs of different tasks in one go; all or none.

    Raises:
        TriggerNotAtomic: the open transaction is of another database.
        UnsupportedCapability: an option that the queue's runtime cannot keep.
    """
    bound = list(calls)
    if not bound:
        return []
    with otel.producer_span(bound[0].task.id, queue=bound[0].options.queue, count=len(bound)):
        traceparent = otel.capture()
        facts: dict[tuple[int, int], Facts] = {}
        runs, keys = [], []
        for call in bound:
            key = (id(call.task), id(call.options))
            if key not in facts:
                facts[key] = Facts.usual(call.task, call.options)
            runs.append(call.new_run(traceparent=traceparent, facts=facts[key]))
            if (unique := call.key(runs[-1])) is not None:
                keys.append(unique)
        atomic = all(call.options.atomic for call in bound)
        if not keys:
            core.trigger(runs, atomic=atomic)
            return [handle(run) for run in runs]
        held = core.trigger_unique(runs, keys=keys, atomic=atomic)
    return [handle(run, held=held) for run in runs]


def handle(run: NewRun, *, held: Mapping[UUID, Holder] = NOBODY) -> RunHandle[Any]:
    """Return the hold on a run that was just created, or on the one that has its key."""
    holder = held.get(run.id)
    if holder is None:
        return RunHandle(id=run.id, task_id=run.task_id, queue=run.queue, status=core.status_of(run))
    return RunHandle(
        id=holder.run_id,
        task_id=holder.task_id,
        queue=holder.queue,
        status=holder.status or Status.QUEUED,
        created=False,
    )


def trigger(task_id: str, payload: Mapping[str, Any] | None = None, **options: Any) -> RunHandle[Any]:
    """Create a run by the task's id, for code that cannot import the task.

    Raises:
        UnknownTask: no task of this id is registered here.
        PayloadInvalid: the payload does not fit the signature; nothing was written.
    """
    found: Task[Any, Any] = registry.get(task_id)
    order = found.using(**options) if options else Order(found, found.options)
    return Bound(task=found, options=order.options, payload=order.encode((), payload or {})).trigger()
