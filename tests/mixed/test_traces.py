"""The trace of a trigger travels in native headers, whoever publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pika
import pytest
from django.utils import timezone
from kafka import KafkaConsumer
from opentelemetry import trace

from openqueue import runtimes
from openqueue.core import post_commit
from openqueue.models import Outbox
from openqueue.processes.sweeps.announcer import Announcer
from tests.app.crash_tasks import quick
from tests.eventually import eventually
from tests.servers.kafka import Kafka
from tests.servers.rabbitmq import ADMIN, RabbitMQ

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

MINE = trace.SpanContext(int("0af7651916cd43dd8448eb211c80319c", 16), 7, False, trace.TraceFlags(1))


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture
def read(request: pytest.FixtureRequest, settings: Any, queue: str) -> Iterator[Callable[[], Any]]:
    """The header of the one message in the queue, as a program reads it that knows nothing of OpenQueue."""
    if request.param == "rabbitmq":
        server: RabbitMQ = request.getfixturevalue("rabbitmq_server")
        settings.OPENQUEUE = {"RABBITMQ": server.url}
        connection = pika.BlockingConnection(pika.URLParameters(server.url_of(ADMIN)))
        channel = connection.channel()

        def first() -> Any:
            _, properties, _ = channel.basic_get(f"openqueue.{queue}", auto_ack=True)
            return properties and properties.headers["traceparent"]

        yield lambda: eventually(first)
        connection.close()
    else:
        kafka: Kafka = request.getfixturevalue("kafka_server")
        kind = "openqueue.runtimes.kafka.KafkaRuntime"
        settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": kind, "OPTIONS": kafka.options}}}
        reader = KafkaConsumer(f"openqueue.{queue}", auto_offset_reset="earliest", **kafka.administrator)

        def record() -> Any:
            found = [record for some in reader.poll(200).values() for record in some]
            return found and dict(found[0].headers)["traceparent"].decode()

        yield lambda: eventually(record, within=30)
        reader.close()
    runtimes.close_all()


@pytest.mark.parametrize("read", ["rabbitmq", "kafka"], indirect=True)
def test_a_run_that_the_sweep_announces_carries_its_trace(
    read: Callable[[], str], queue: str, monkeypatch: pytest.MonkeyPatch
):
    runtimes.get("default").declare([queue])
    monkeypatch.setattr(post_commit, "put", lambda *_: None)
    with trace.use_span(trace.NonRecordingSpan(MINE)):
        run = quick.using(queue=queue).trigger()
    assert Announcer().step(timezone.now() + timedelta(seconds=3)) == 1
    assert Outbox.objects.get(pk=run.id).announced_at is not None
    assert read() == run.row.traceparent
    assert f"{MINE.trace_id:032x}" in run.row.traceparent
