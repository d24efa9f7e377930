"""The listener of the documentation reads what is announced, and knows nothing of Django."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from openqueue.runtimes.kafka import KafkaRuntime
from tests.docs.pages import DOCS, blocks
from tests.kafka.conftest import message
from tests.servers.kafka import Kafka


def test_twenty_lines_without_django_read_what_is_announced(
    runtime: KafkaRuntime, kafka_server: Kafka, queue: str, tmp_path: Path
):
    (listener,) = (b for b in blocks(DOCS / "runtimes" / "kafka.md", "python") if "def listen" in b.text)
    assert "django" not in listener.text.lower()
    file = tmp_path / "listen.py"
    file.write_text(listener.text)
    told = message(queue)
    runtime.publish([told])
    where = f"127.0.0.1:{kafka_server.ports['ADMIN']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    with subprocess.Popen(
        [sys.executable, file, where, f"openqueue.{queue}"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        finally:
            process.kill()
    assert line == f"shop.any {told.run_id} attempt 1\n"
