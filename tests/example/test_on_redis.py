"""The shop on Redis by one setting, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.eventually import eventually
from tests.example.conftest import EXAMPLE
from tests.servers.redis import Redis


def manage(folder: Path, url: str, *arguments: str, provider: str = "") -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "DATABASE"))
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=EXAMPLE,
        env=environment
        | {
            "OPENQUEUE_REDIS_URL": url,
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


def test_the_demo_runs_on_redis_by_one_setting(tmp_path: Path, redis_server: Redis, provider: Any):
    with redis_server.client as admin:
        admin.execute_command("ACL", "SETUSER", "openqueue", "~{shop:*")
    url = redis_server.url
    said(manage(tmp_path, url, "shop_setup"))
    assert "redis" in said(manage(tmp_path, url, "openqueue_status")).lower()
    # With this seed the card is one that pays; others are declined or down, as in life.
    assert "card_fine" in said(manage(tmp_path, url, "shop_traffic", "--once", "--seed", "1"))
    with redis_server.client as admin:
        assert eventually(lambda: admin.keys("{shop:*}:waiting"))
    worked = said(manage(tmp_path, url, "openqueue_worker", "--drain", "-v", "2", provider=provider.url))
    assert "completed" in worked
    with redis_server.client as admin:
        assert admin.keys("{shop:*}:waiting") == []
