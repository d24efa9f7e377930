"""A coroutine body from its attempt to its outcome, on whatever event loop it is awaited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial

from asgiref.sync import sync_to_async

from openqueue.context import Reporter, current
from openqueue.errors import PayloadUnavailable, TaskCancelled, TaskTimeout
from openqueue.processes.worker import body
from openqueue.processes.worker.job import Job, context_of
from openqueue.telemetry import otel
from openqueue.types import Outcome

cleaned_at = float("-inf")


async def acall(job: Job, *, reporter: Reporter, clean_every: float) -> Outcome:
    """Await a body and return how it ended; as `body.call`."""
    with otel.consumer_span(
        job.attempt.traceparent, name=job.attempt.task_id, facts=lambda: body.span_facts(job)
    ) as span:
        try:
            kwargs = body.arguments(job)
        except PayloadUnavailable as error:
            return body.unhappy(job, error=error)
        except Exception as error:  # as in body.call
            return body.refused(job, error=error)
        context = job.context = context_of(job, reporter=reporter, completer=partial(body.complete, job))
        current.set(context)  # this coroutine's own context: nothing to reset
        function = job.task.function
        args = (context,) if job.task.signature.takes_context else ()
        inner = asyncio.ensure_future(function(*args, **kwargs))
        loop = asyncio.get_running_loop()
        job.tell_body = lambda: cancel_soon(loop, inner)
        try:
            async with asyncio.timeout(job.timeout):
                result = await inner
        except TimeoutError as error:
            expired = job.timeout is not None and (job.age or 0) >= job.timeout
            return body.unhappy(job, error=TaskTimeout() if expired else error)
        except asyncio.CancelledError as error:
            if context.is_cancelled:
                return body.unhappy(job, error=TaskCancelled())
            return body.unhappy(job, error=error)
        except BaseException as error:  # as in body.call
            otel.record(span, error)
            return body.unhappy(job, error=error)
        finally:
            context.end_lines()
            await clean_async_connections(every=clean_every)
        return body.happy(job, result=result)


def cancel_soon(loop: asyncio.AbstractEventLoop, inner: asyncio.Future[object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(inner.cancel)


async def clean_async_connections(*, every: float) -> None:
    """Async bodies share the connections of one thread of asgiref's; look at them now and then."""
    global cleaned_at
    if time.monotonic() - cleaned_at >= every:
        cleaned_at = time.monotonic()
        await sync_to_async(body.clean_connections)()
