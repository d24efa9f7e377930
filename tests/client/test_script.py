"""A plain script, which cannot import Django, works with a real server and a real worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import tree

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]
ABSENT = ("django", "asgiref", "rest_framework", "redis", "pika", "kafka", "psycopg", "MySQLdb")


def test_a_plain_script_triggers_waits_looks_and_controls(service, worker, tmp_path: Path):
    for name in ABSENT:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not installed here')\n")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{tree.ROOT}",
        "OPENQUEUE_URL": service.url,
        "OPENQUEUE_TOKEN": service.token,
    }
    script = Path(__file__).with_name("script.py")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", script],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "done []\n"), done.stderr + worker.said()[-2000:]
