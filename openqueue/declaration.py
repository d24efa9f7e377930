"""``@task``: a function that can be triggered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Final, Generic, Literal, ParamSpec, TypeVar, cast, overload

from asgiref.sync import sync_to_async
from django.apps import apps

from openqueue import limits, registry, retry
from openqueue.conf import Config
from openqueue.context import TaskContext
from openqueue.errors import TaskDeclarationError
from openqueue.handle import RunHandle
from openqueue.ids import uuid7
from openqueue.limits import TASK, Allowance, Rate
from openqueue.options import DECLARABLE, Options, is_whole
from openqueue.orders import Bound, Facts, Order, trigger_one
from openqueue.schedules.of_task import TaskSchedules
from openqueue.schedules.rule import NAMES as RULE
from openqueue.signature import Signature
from openqueue.sizes import size

P = ParamSpec("P")
R = TypeVar("R")
Hook = Callable[..., None]
SMALLEST_MEMORY: Final = 128 * 1024**2


class Task(Generic[P, R]):
    """A registered function. Still callable as what it is; `trigger()` has a worker run it."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        id: str | None = None,
        takes_context: bool | None = None,
        schema: Any = None,
        concurrency: int | None = None,
        max_concurrency: int | None = None,
        rate_limit: str | None = None,
        isolation: Literal["thread", "process"] = "thread",
        memory_limit: int | str | None = None,
        on_worker_lost: Literal["retry", "fail"] = "retry",
        retry_on: Iterable[type[BaseException]] | None = None,
        no_retry_on: Iterable[type[BaseException]] = (),
        secret: Sequence[str] = (),
        api_enqueueable: bool = True,
        on_start: Hook | None = None,
        on_success: Hook | None = None,
        on_retry: Hook | None = None,
        on_failure: Hook | None = None,
        on_cancel: Hook | None = None,
        **options: Any,
    ) -> None:
        functools.update_wrapper(self, function)
        unknown = set(options) - DECLARABLE - {*RULE}
        if unknown:
            known = ", ".join(sorted({*DECLARABLE, *RULE}))
            raise TaskDeclarationError(
                f"@task does not know {', '.join(sorted(unknown))}. It takes: {known}."
            )
        rule = {name: options.pop(name) for name in RULE if name in options}
        given = [rule[name] for name in ("cron", "every") if name in rule]
        self.declared_rule = {} if given and set(given) == {None} else rule  # None: switched off
        """What it says of its own schedule; looked at by the system checks, and by workers and schedulers."""
        for name, number in (("concurrency", concurrency), ("max_concurrency", max_concurrency)):
            if number is not None and (not is_whole(number) or number < 1):
                raise TaskDeclarationError(f"{name}={number!r} must be a whole number above 0")
        if on_worker_lost not in {"retry", "fail"}:
            raise TaskDeclarationError(f"on_worker_lost={on_worker_lost!r} must be 'retry' or 'fail'")
        if isinstance(secret, str):
            raise TaskDeclarationError(f"secret={secret!r} must be a list of argument names")
        self.function = function
        self.given_id = id
        self.options = Options(**options).checked()
        self.usual_facts: tuple[Config, Facts] | None = None
        self.backoff = retry.Backoff.of(cast(Any, self.options.backoff))
        self.signature = Signature.of(function, takes_context=takes_context, schema=schema)
        self.is_async = inspect.iscoroutinefunction(function)
        self.concurrency = concurrency
        self.max_concurrency = max_concurrency
        self.rate = None if rate_limit is None else Rate.of(rate_limit)
        self.isolation = isolation
        self.memory_limit = memory(memory_limit, isolation=isolation)
        self.on_worker_lost = on_worker_lost
        self.retry_on = None if retry_on is None else exceptions("retry_on", retry_on)
        self.no_retry_on = exceptions("no_retry_on", no_retry_on)
        self.secret = tuple(secret)
        self.api_enqueueable = api_enqueueable
        self.hooks = {
            "start": on_start,
            "success": on_success,
            "retry": on_retry,
            "failure": on_failure,
            "cancel": on_cancel,
        }
        self.check_names()
        registry.add(self, given_id=id)

    def __repr__(self) -> str:
        return f"<Task {self.given_id or self.function.__qualname__}>"

    def check_names(self) -> None:
        """Refuse a hook that cannot be called, and a secret that no argument bears: it would be stored in clear."""
        for name, hook in self.hooks.items():
            if hook is not None and not callable(hook):
                raise TaskDeclarationError(f"on_{name}={hook!r} must be a function")
        unknown = [name for name in self.secret if name not in self.signature.parameters]
        if unknown and self.signature.rest is None and self.signature.schema is None:
            raise TaskDeclarationError(
                f"secret= names {', '.join(unknown)}, which the function does not take"
            )
        self.check_keys(self.options)

    def check_keys(self, options: Options) -> None:
        """Refuse keys that are made of what the function does not take, or of a secret."""
        open_ended = self.signature.rest is not None or self.signature.schema is not None
        known = None if open_ended else self.signature.parameters
        for name in ("ordering_key", "concurrency_key"):
            limits.check_fields(name, getattr(options, name), known=known, secret=self.secret)

    @functools.cached_property
    def id(self) -> str:
        """The name under which workers know it: ``app_label.function`` unless given."""
        if self.given_id is not None:
            return self.given_id
        apps.check_apps_ready()
        app = apps.get_containing_app_config(self.function.__module__)
        if app is None:
            raise TaskDeclarationError(
                f"{self.function.__module__}.{self.function.__qualname__} is in no app of INSTALLED_APPS. "
                f"Move it into one, or name it with @task(id=...)."
            )
        return f"{app.label}.{self.function.__name__}"

    @property
    def is_limited(self) -> bool:
        """Whether the whole fleet may run only so many of it, or so often."""
        return self.max_concurrency is not None or self.rate is not None

    def allowance(self, key: str) -> Allowance:
        """Return how many of it may hold a concurrency key; one, where only a key is given."""
        only_key = not self.is_limited and not key.startswith(TASK)
        return Allowance(1 if only_key else self.max_concurrency, self.rate)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        return self.function(*args, **kwargs)  # type: ignore[no-any-return]  # the function's own type

    def call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now, with a context made for the occasion if it takes one."""
        if not self.signature.takes_context:
            return self(*args, **kwargs)
        return self(TaskContext(run_id=uuid7(), task_id=self.id, queue=self.options.queue), *args, **kwargs)

    @property
    def schedules(self) -> TaskSchedules:
        """The schedules of this task: the one that it declares, and those that were created."""
        return TaskSchedules(self)

    def using(self, **options: Any) -> Order[P, R]:
        """Return this task with other options, for what is triggered through it."""
        return Order(self, self.options).using(**options)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Bound[R]:
        """Return a checked call, to be triggered together with others."""
        return Order(self, self.options).bind(*args, **kwargs)

    def trigger(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Create a run in the open transaction; it starts after the commit.

        Raises:
            PayloadInvalid: an argument does not fit the signature; nothing was written.
            TriggerNotAtomic: the open transaction is of another database.
        """
        payload = Order(self, self.options).encode(args, kwargs)
        return trigger_one(Bound(task=self, options=self.options, payload=payload))

    def trigger_many(self, payloads: Iterable[Mapping[str, Any]]) -> list[RunHandle[R]]:
        """Create many runs with a handful of statements; all or none."""
        return Order(self, self.options).trigger_many(payloads)

    async def atrigger(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Create a run; it commits by itself, since Django has no async transactions."""
        return await sync_to_async(self.trigger)(*args, **kwargs)

    async def atrigger_many(self, payloads: Iterable[Mapping[str, Any]]) -> list[RunHandle[R]]:
        """Create many runs; they commit by themselves."""
        return await sync_to_async(self.trigger_many)(payloads)


class AsyncTask(Task[P, R]):
    """A task whose function is a coroutine function: workers run it on their event loop."""

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]  # as said
        """Return the coroutine of a call here and now, with a context made for the occasion if it takes one."""
        return super().call(*args, **kwargs)  # type: ignore[return-value]  # a coroutine function returns one


def declare(function: Callable[..., Any], options: dict[str, Any]) -> Task[..., Any]:
    kind = AsyncTask if inspect.iscoroutinefunction(function) else Task
    return kind(function, **options)


@overload
def task(function: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
@overload
def task(function: Callable[Concatenate[TaskContext, P], R], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Any) -> Decorator: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a task: ``@task`` or ``@task(queue="email", max_attempts=5, ...)``.

    Raises:
        TaskDeclarationError: an option is wrong; its text names the option and the remedy.
    """
    if function is not None:
        return declare(function, {})
    return lambda function: declare(function, options)


def memory(limit: Any, *, isolation: Any) -> int | None:
    """Return a memory limit in bytes; only a process has one."""
    if isolation not in {"thread", "process"}:
        raise TaskDeclarationError(f"isolation={isolation!r} must be 'thread' or 'process'")
    if limit is None:
        return None
    try:
        limit_in_bytes = size(limit)
    except ValueError:
        raise TaskDeclarationError(f'memory_limit={limit!r} must be bytes, or text such as "512MB"') from None
    if isolation != "process":
        raise TaskDeclarationError(
            'memory_limit= needs isolation="process": a thread shares its memory with others'
        )
    if limit_in_bytes < SMALLEST_MEMORY:
        raise TaskDeclarationError(
            f'memory_limit={limit!r} must be at least "128MB": Python and Django need half of that themselves'
        )
    return limit_in_bytes


def exceptions(name: str, kinds: Any) -> tuple[type[BaseException], ...]:
    if not isinstance(kinds, list | tuple | set | frozenset) or not all(
        isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds
    ):
        raise TaskDeclarationError(f"{name}={kinds!r} must be a list of exception types")
    return tuple(kinds)


class Decorator:
    """What ``@task(...)`` is for the type checker."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[TaskContext, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """Declare the task."""
