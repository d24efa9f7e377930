"""OpenTelemetry for the example shop: request, trigger, run and the task's own spans, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    from opentelemetry import trace
except ImportError:  # the shop runs as well without
    trace = None

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def start(*, service: str) -> None:
    """Instrument Django and print every finished span to the console."""
    # Imported here, so that only OPENQUEUE_DEMO_TRACING=1 asks for them.
    from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=in_one_line)))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument()


def in_one_line(span: ReadableSpan) -> str:
    """Say trace, span, parent, milliseconds and name of a finished span."""
    parent = f"{span.parent.span_id:016x}" if span.parent else "-" * 16
    milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    service = span.resource.attributes["service.name"]
    return (
        f"trace={span.context.trace_id:032x} span={span.context.span_id:016x} parent={parent} "
        f"{milliseconds:8.1f} ms  {service}: {span.name}\n"
    )


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """Put the body into a span of its own, or just run it when OpenTelemetry is not installed."""
    if trace is None:
        yield
        return
    with trace.get_tracer("shop").start_as_current_span(name, attributes=attributes):
        yield
