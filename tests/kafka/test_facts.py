"""What the doctor hears of a cluster, and what it makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from openqueue import runtimes
from openqueue.control.doctor import brokers
from openqueue.runtimes.base import BrokerFacts
from openqueue.runtimes.kafka import KafkaRuntime
from tests.eventually import eventually
from tests.kafka.conftest import fresh, message
from tests.servers.kafka import Kafka, SecondNode


def test_a_cluster_tells_its_version_copies_retention_and_partitions(
    runtime: KafkaRuntime, kafka_server: Kafka, queue: str
):
    runtime.declare([queue])
    told = runtime.configuration()
    assert (told.software, told.version, told.outdated, told.nodes) == ("kafka", "4.3", "", 1)
    assert (told.copies, told.copies_required, told.retention) == (1, 1, 7 * 24 * 3600)
    assert told.partitions[queue] == 3
    assert told.cpu_seconds is not None
    assert told.cpu_seconds > 0


def test_the_doctor_finds_one_copy_short_retention_and_too_few_partitions(
    kafka_server: Kafka, queue: str, settings: Any
):
    with kafka_server.admin() as admin:
        admin.create_topics(
            {
                f"doctor.{queue}": {
                    "num_partitions": 1,
                    "replication_factor": 1,
                    "configs": {"retention.ms": "60000"},
                }
            }
        )
    options = {"brokers": [f"127.0.0.1:{kafka_server.ports['ADMIN']}"], "create_topics": False}
    entry = {"BACKEND": "openqueue.runtimes.kafka.KafkaRuntime", "OPTIONS": options}
    settings.OPENQUEUE = {"NAMESPACE": "doctor", "RUNTIMES": {"default": entry}}
    facts: dict[str, Any] = {}
    found = {one.id: one for one in brokers.examine("default", facts, workers={queue: 3})}
    assert set(found) == {"one_copy", "short_retention", "few_partitions"}
    assert (found["one_copy"].level, found["few_partitions"].level) == ("info", "warning")
    assert "1 partitions and 3 workers" in found["few_partitions"].message
    assert facts["partitions"] == {queue: 1}
    runtimes.close_all()


def test_a_cluster_of_two_lies_on_both_and_goes_on_with_one(kafka_server: Kafka, queue: str):
    """The second node has the only copy of some partitions, then all of them have two."""
    first = Kafka()
    first.open()
    second = SecondNode(first)
    try:
        second.open()
        runtime = KafkaRuntime("default", **first.options, **fresh(replication=2, partitions=4))
        eventually(lambda: runtime.configuration().nodes == 2)
        assert eventually(lambda: runtime.publish([message(queue)])[0].error is None)
        told = runtime.configuration()
        assert (told.nodes, told.copies) == (2, 2)
        second.stop()
        for _ in range(5):
            assert eventually(lambda: runtime.publish([message(queue)])[0].error is None, within=30)
        assert eventually(lambda: runtime.inspect(queue).lag == 6)
        runtime.close()
    finally:
        second.close()
        first.close()


@pytest.mark.parametrize(
    ("told", "ids"),
    [
        ({}, set()),
        ({"outdated": "OpenQueue needs 2.8 or newer"}, {"broker_outdated"}),
        ({"copies": 3, "copies_required": 2, "nodes": 3, "retention": 86400.0}, set()),
        ({"copies": 3, "copies_required": 3, "nodes": 3}, {"no_copy_to_spare"}),
        ({"copies": 1, "nodes": 3}, {"one_copy"}),
        ({"retention": 60.0}, {"short_retention"}),
        ({"partitions": {"email": 2}}, set()),
        ({"partitions": {"email": 1}}, {"few_partitions"}),
    ],
)
def test_what_is_found_and_what_is_fine(told: dict[str, Any], ids: set[str]):
    facts = BrokerFacts(**{"software": "kafka", "version": "4", "persistence": ("log",)} | told)
    found = [*brokers.judge("default", facts), *brokers.judge_log("default", facts, workers={"email": 2})]
    assert {one.id for one in found} == ids
    assert all(one.remedy for one in found)
