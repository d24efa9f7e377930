"""Trace context across the queue: captured at the trigger, restored around the body.

Nothing of OpenTelemetry is imported unless its API is installed; no span is made unless an SDK is set up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any

AVAILABLE = find_spec("opentelemetry") is not None and find_spec("opentelemetry.trace") is not None
NOTHING: AbstractContextManager[Any] = nullcontext()


@cache
def api() -> Any:
    """Return ``opentelemetry.trace``: looked up once, since an import inside a function takes its time."""
    from opentelemetry import trace  # noqa: PLC0415  # optional dependency

    return trace


def in_use() -> bool:
    """Tell whether anything here may be traced: without this module nobody can have begun a span or set up an SDK."""
    return "opentelemetry.trace" in sys.modules


def capture() -> str | None:
    """Return the W3C traceparent of the moment, or None when nothing is traced.

    Source: https://www.w3.org/TR/trace-context/
    """
    if not in_use():
        return None
    trace = api()
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def producer_span(task_id: str, *, queue: str, count: int) -> AbstractContextManager[Any]:
    """Return the block in which runs are created: the span that their bodies will name as their parent."""
    if not in_use():
        return NOTHING
    trace = api()
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return NOTHING
    facts: dict[str, Any] = {
        "messaging.system": "openqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue,
        "messaging.batch.message_count": count,
    }
    span: AbstractContextManager[Any] = trace.get_tracer("openqueue").start_as_current_span(
        f"trigger {task_id}", kind=trace.SpanKind.PRODUCER, attributes=facts
    )
    return span


def consumer_span(
    traceparent: str | None, *, name: str, facts: Callable[[], dict[str, Any]]
) -> AbstractContextManager[Any]:
    """Return the block in which a body continues the trace that triggered it; its value is the span, or None."""
    if not AVAILABLE:
        return NOTHING
    trace = api()
    if traceparent is None and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return NOTHING  # nothing to continue, and nobody who would record it
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
    span: AbstractContextManager[Any] = trace.get_tracer("openqueue").start_as_current_span(
        name, context=parent, kind=trace.SpanKind.CONSUMER, attributes=facts(), record_exception=False
    )
    return span


def record(span: Any, error: BaseException) -> None:
    """Mark the span of a body that failed."""
    if span is None:
        return
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  # optional dependency

    span.set_status(Status(StatusCode.ERROR, type(error).__name__))
    span.set_attribute("error.type", type(error).__name__)
