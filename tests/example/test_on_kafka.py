"""The shop on Kafka by one setting, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.eventually import eventually
from tests.example.conftest import EXAMPLE
from tests.servers.kafka import Kafka


def manage(folder: Path, brokers: str, *arguments: str, provider: str = "") -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "DATABASE"))
    }
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=EXAMPLE,
        env=environment
        | {
            "OPENQUEUE_KAFKA_BROKERS": brokers,
            "SHOP_PROVIDER_URL": provider,
            "SHOP_VAR_DIR": str(folder),
            "PYTHONPATH": str(EXAMPLE.parent),
            "SHOP_DEBUG": "0",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def lag(kafka: Kafka) -> int:
    """Return how much of the shop's topics its group has not passed."""
    with kafka.admin() as admin:
        topics = [name for name in admin.list_topics() if name.startswith("shop.")]
        if not topics:
            return 0
        from kafka import TopicPartition
        from kafka.admin import OffsetSpec

        places = [
            TopicPartition(topic["name"], one["partition_index"])
            for topic in admin.describe_topics(topics)
            for one in topic["partitions"]
        ]
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        passed = admin.list_group_offsets({"shop": places})["shop"]
        return sum(
            ends[place].offset - max(0, passed[place].offset if place in passed else 0) for place in places
        )


def test_the_demo_runs_on_kafka_by_one_setting(tmp_path: Path, kafka_server: Kafka, provider: Any):
    brokers = f"127.0.0.1:{kafka_server.ports['ADMIN']}"
    manage(tmp_path, brokers, "shop_setup")
    manage(tmp_path, brokers, "check", "--fail-level", "WARNING")
    assert "kafka" in manage(tmp_path, brokers, "openqueue_status").lower()
    manage(tmp_path, brokers, "shop_traffic", "--once", "--seed", "1")
    assert eventually(lambda: lag(kafka_server))
    worked = manage(tmp_path, brokers, "openqueue_worker", "--drain", "-v", "2", provider=provider.url)
    assert "completed" in worked
    assert lag(kafka_server) == 0
