"""The shop on RabbitMQ by one setting, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.eventually import eventually
from tests.example.conftest import EXAMPLE
from tests.servers.rabbitmq import RabbitMQ


def manage(folder: Path, url: str, *arguments: str, provider: str = "") -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "DATABASE"))
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=EXAMPLE,
        env=environment
        | {
            "OPENQUEUE_RABBITMQ_URL": url,
            "SHOP_PROVIDER_URL": provider,
            "SHOP_VAR_DIR": str(folder),
            "PYTHONPATH": str(EXAMPLE.parent),
            "SHOP_DEBUG": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    return output


def test_the_demo_runs_on_rabbitmq_by_one_setting(tmp_path: Path, rabbitmq_server: RabbitMQ, provider: Any):
    rabbitmq_server.permit("openqueue", r"^shop(\.|$)")
    url = rabbitmq_server.url
    said(manage(tmp_path, url, "shop_setup"))
    assert "rabbitmq" in said(manage(tmp_path, url, "openqueue_status")).lower()
    said(manage(tmp_path, url, "shop_traffic", "--once", "--seed", "1"))
    eventually(lambda: waiting(rabbitmq_server) > 0)
    worked = said(manage(tmp_path, url, "openqueue_worker", "--drain", "-v", "2", provider=provider.url))
    assert "completed" in worked
    eventually(lambda: waiting(rabbitmq_server) == 0)


def waiting(server: RabbitMQ) -> int:
    return sum(queue.get("messages", 0) for queue in server.queues().values())
