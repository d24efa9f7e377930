"""Kafka by confluent-kafka keeps the whole contract too, in a consumer group and in a share group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from openqueue import runtimes
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance import RuntimeConformance
from tests.servers.kafka import USER, Kafka

pytestmark = pytest.mark.once


def runtime_of(settings: Any, server: Kafka, **options: Any) -> Runtime:
    more = {
        "client": "confluent",
        "group_id": f"openqueue-{uuid4().hex[:8]}",
        "partitions": 3,
        "in_flight": 0.5,
    }
    entry = {
        "BACKEND": "openqueue.runtimes.kafka.KafkaRuntime",
        "OPTIONS": server.options | more | options,
    }
    settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
    return runtimes.get("default")


class TestConfluentKafka(RuntimeConformance):
    soon = 60.0  # a group that takes somebody in stands still for as long as its slowest member needs

    @pytest.fixture
    def runtime(self, settings: Any, kafka_server: Kafka) -> Iterator[Runtime]:
        yield runtime_of(settings, kafka_server)
        runtimes.close_all()


@pytest.fixture(scope="module")
def early_groups(kafka_server: Kafka) -> None:
    """Let the user have its share groups begin with the oldest record, as docs/runtimes/kafka.md says."""
    groups = ResourcePattern(ResourceType.GROUP, "openqueue", ACLResourcePatternType.PREFIXED)
    rule = ACL(f"User:{USER}", "*", ACLOperation.ALTER_CONFIGS, ACLPermissionType.ALLOW, groups)
    with kafka_server.admin() as admin:
        admin.create_acls([rule])


class TestShareGroup(RuntimeConformance):
    soon = 60.0  # a group that takes somebody in stands still for as long as its slowest member needs

    @pytest.fixture
    def runtime(self, settings: Any, kafka_server: Kafka, early_groups: None) -> Iterator[Runtime]:
        # One partition: all consumers of a share group receive from it.
        yield runtime_of(settings, kafka_server, group_mode="share", partitions=1)
        runtimes.close_all()
