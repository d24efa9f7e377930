"""From a claimed attempt to its outcome: a straight pipe of named steps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connections

from openqueue import codec, payloads, secrets
from openqueue.conf import config
from openqueue.context import Reporter, current
from openqueue.core import transitions, verdicts
from openqueue.errors import (
    NonRetryableError,
    PayloadInvalid,
    PayloadUnavailable,
    ResultInvalid,
    RetryableError,
    TaskCancelled,
    TaskTimeout,
)
from openqueue.processes.worker import completion
from openqueue.processes.worker.job import Job, context_of
from openqueue.states import Reason
from openqueue.telemetry import otel
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")

EMPTY: Final = "{}"


def arguments(job: Job) -> dict[str, Any]:
    """Return the stored payload as the arguments of the function.

    Raises:
        PayloadInvalid: the signature has changed since the trigger.
        PayloadUnavailable: the storage where it lies does not give it.
    """
    text = job.attempt.payload
    payload = {} if text == EMPTY else payloads.decode(text)
    if job.task.secret:
        payload = job.unsealed = secrets.unseal(payload, fields=job.task.secret)
    return job.task.signature.load(payload)  # type: ignore[no-any-return]  # tasks are Any to the engine


def call(job: Job, *, reporter: Reporter, clean: Callable[[], None] | None = None) -> Outcome:
    """Run a sync body in this thread and return how it ended. Never raises, whatever the body does.

    ``clean`` is called before and after it; by default it gives the body connections as a request gets them.
    """
    clean = clean or clean_connections
    with otel.consumer_span(
        job.attempt.traceparent, name=job.attempt.task_id, facts=lambda: span_facts(job)
    ) as span:
        try:
            kwargs = arguments(job)
        except PayloadUnavailable as error:
            return unhappy(job, error=error)
        except Exception as error:  # the stored payload no longer fits: declared types may raise anything
            return refused(job, error=error)
        context = job.context = context_of(job, reporter=reporter, completer=partial(complete, job))
        mark = current.set(context)
        clean()
        try:
            function = job.function or job.task.function
            given = (context,) if job.task.signature.takes_context else ()
            # In a context of its own: the language or time zone that a body activates is not its successor's.
            result = copy_context().run(function, *given, **kwargs)
            job.leave_body()
        except BaseException as error:  # SystemExit and the like are the body's failure, not ours
            job.leave_body()
            otel.record(span, error)
            return unhappy(job, error=error)
        finally:
            current.reset(mark)
            context.end_lines()
            clean()
        return happy(job, result=result)


def complete(job: Job, result: Any) -> None:
    """Write the completion in the body's own transaction; see `TaskContext.complete_in_transaction`."""
    try:
        text = written(job, result)
    except PayloadInvalid as error:
        raise ResultInvalid.of(error) from error
    completion.write(job, transitions.completed(job.attempt, result=text, age=job.age or 0.0))


def happy(job: Job, *, result: Any) -> Outcome:
    """The body returned."""
    if (outcome := completion.stands(job)) is not None:
        return outcome
    age = job.age or 0.0
    try:
        return transitions.completed(job.attempt, result=written(job, result), age=age)
    except BaseException as error:  # a result's own __iter__ may raise anything, SystemExit too
        told = ResultInvalid.of(error) if isinstance(error, PayloadInvalid) else error
        described = job.mask(codec.describe(told))
        return transitions.failed(job.attempt, reason=Reason.RESULT_INVALID, error=described, age=age)


def written(job: Job, result: Any) -> str | None:
    """Return a result as it is stored, without this run's secrets.

    Raises:
        PayloadInvalid: it has no JSON form.
    """
    if result is None:
        return None
    text = codec.encode(result, what="result", limit=config.result_limit)
    if job.unsealed is not None:
        text = codec.encode(job.mask(codec.decode(text)), what="result", limit=config.result_limit)
    return text


def refused(job: Job, *, error: Exception) -> Outcome:
    """The stored payload does not fit the function any more: another attempt would not help."""
    return transitions.failed(
        job.attempt, reason=Reason.PAYLOAD_INVALID, error=job.mask(codec.describe(error)), age=None
    )


def unhappy(job: Job, *, error: BaseException) -> Outcome:
    """The body raised: cancelled, failed, or another attempt."""
    if (outcome := completion.stands(job, error=error)) is not None:
        return outcome
    attempt, age = job.attempt, job.age or 0.0
    cancelled = job.context is not None and job.context.is_cancelled
    if isinstance(error, TaskCancelled) and cancelled:
        return transitions.cancelled(attempt, age=age)
    described = job.mask(codec.describe(error))
    reason = Reason.TIMED_OUT if isinstance(error, TaskTimeout) else Reason.ERROR
    return verdicts.of_failure(
        attempt,
        reason=reason,
        error=described,
        again=retryable(job, error),
        pause=partial(pause_before_next, job, error),
        age=age,
    )


def beside(job: Job, *, error: BaseException) -> Outcome:
    """Something failed before or after the body, where only its objects can be at fault: they are not asked again."""
    if (outcome := completion.stands(job, error=error)) is not None:
        return outcome
    described = job.mask(codec.describe(error))
    logger.error(
        "failed beside its body", extra={"run_id": str(job.attempt.run_id), "error": described["type"]}
    )
    return transitions.failed(job.attempt, reason=Reason.ERROR, error=described, age=job.age)


def retryable(job: Job, error: BaseException) -> bool:
    """Tell whether another attempt may help."""
    task = job.task
    if isinstance(error, RetryableError | TaskTimeout):
        return True
    if isinstance(error, (NonRetryableError, *task.no_retry_on)):
        return False
    return task.retry_on is None or isinstance(error, task.retry_on)


def pause_before_next(job: Job, error: BaseException) -> tuple[float, str]:
    """Return the seconds to the next attempt, and where they come from."""
    asked = error.delay if isinstance(error, RetryableError) else None
    return verdicts.pause(job.attempt, job.task, asked=None if asked is None else asked.total_seconds())


def clean_connections() -> None:
    """Give the body the connections that a request would get; what it left broken or open is closed."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            continue
        try:
            if connection.in_atomic_block or not connection.get_autocommit():
                connection.in_atomic_block = False
                connection.savepoint_ids = []
                connection.needs_rollback = False
                # Else Django takes it for closed, and never opens it again.
                connection.closed_in_transaction = False
                connection.close()
            else:
                connection.close_if_unusable_or_obsolete()
        except (DatabaseError, InterfaceError):
            logger.info("a body left a connection that could not be closed", exc_info=True)


def span_facts(job: Job) -> dict[str, Any]:
    """Name the run by the messaging conventions: https://opentelemetry.io/docs/specs/semconv/messaging/."""
    return {
        "messaging.system": "openqueue",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.attempt.queue,
        "messaging.message.id": str(job.attempt.run_id),
        "openqueue.attempt": job.attempt.attempt,
    }
