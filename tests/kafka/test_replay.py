"""Replays of a stretch of a real topic: by offsets and by time, while the group's offsets stay where they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command

from openqueue import runtimes
from openqueue.models import Run
from openqueue.runtimes.base import Message
from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.refusals import KafkaFailed
from tests.control.builders import make_run
from tests.eventually import eventually
from tests.kafka.conftest import committed, fresh, receive
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.django_db


@pytest.fixture
def events(settings: Any, kafka_server: Kafka) -> Iterator[KafkaRuntime]:
    entry = {
        "BACKEND": "openqueue.runtimes.kafka.KafkaRuntime",
        "OPTIONS": kafka_server.options | fresh(partitions=1),
    }
    settings.OPENQUEUE = {"RUNTIMES": {"events": entry}}
    runtime = runtimes.get("events")
    assert isinstance(runtime, KafkaRuntime)
    yield runtime
    runtimes.close_all()


def announce(runtime: KafkaRuntime, queue: str, *runs: UUID) -> None:
    runtime.publish([Message(run, 1, "app.add", queue) for run in runs])


def repeated() -> list[UUID]:
    return list(
        Run.objects.filter(replay_of__isnull=False).order_by("pk").values_list("replay_of", flat=True)
    )


def replay(queue: str, *words: object) -> None:
    accept = ["--execute", "--accept-side-effects", "a test"]
    call_command("openqueue_replay", "--runtime", "events", "--queue", queue, *map(str, words), *accept)


def test_offsets_choose_and_the_group_stays_where_it_is(events: KafkaRuntime, queue: str):
    runs = [make_run(status="failed") for _ in range(5)]
    announce(events, queue, *runs)
    consumer = events.consumer([queue], prefetch=2)
    first, second, *_ = receive(consumer, 5)
    consumer.ack([first, second])
    eventually(lambda: committed(events, queue) == {0: 2})
    replay(queue, "--partition", 0, "--from-offset", 1, "--to-offset", 4)
    assert repeated() == runs[1:4]
    assert committed(events, queue) == {0: 2}
    consumer.close()


def test_moments_choose(events: KafkaRuntime, queue: str):
    runs = [make_run(status="failed") for _ in range(3)]
    announce(events, queue, runs[0])
    between = datetime.fromtimestamp(_stamp(events, queue) + 0.001).astimezone()
    eventually(lambda: datetime.now().astimezone() > between + timedelta(milliseconds=2))
    announce(events, queue, *runs[1:])
    replay(queue, "--since", between.isoformat())
    assert repeated() == runs[1:]
    replay(queue, "--until", between.isoformat())
    assert repeated() == [*runs[1:], runs[0]]


def _stamp(runtime: KafkaRuntime, queue: str) -> float:
    consumer = runtime.consumer([queue], prefetch=1)
    (receipt,) = receive(consumer, 1)
    consumer.close()
    stamp: float = receipt.handle.record.stamp
    return stamp


def test_a_queue_without_a_topic_has_nothing_to_replay(events: KafkaRuntime, queue: str):
    replay(queue)
    assert repeated() == []


def test_a_broker_that_is_away_is_said_and_nothing_is_made(settings: Any, queue: str):
    entry = {
        "BACKEND": "openqueue.runtimes.kafka.KafkaRuntime",
        "OPTIONS": {"brokers": ["127.0.0.1:9"], "timeout": 0.5},
    }
    settings.OPENQUEUE = {"RUNTIMES": {"events": entry}}
    with pytest.raises(KafkaFailed, match=r"127\.0\.0\.1:9"):
        replay(queue)
    assert repeated() == []
    runtimes.close_all()
