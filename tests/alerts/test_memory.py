"""What sending needs is loaded where something is sent: a worker that sends nothing has no room for it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

SENDING = ("openqueue.alerts.posting", "openqueue.alerts.mailing", "http.client", "smtplib", "cryptography")
LOADED = f"""
import sys, django; django.setup()
FIRST
print([name for name in {SENDING} if name in sys.modules])
"""


@pytest.mark.django_db
def test_looking_loads_nothing_that_only_sending_needs(process_environment: Any):
    def loaded(first: str) -> str:
        environment = process_environment(DJANGO_SETTINGS_MODULE="tests.child_settings")
        words = [sys.executable, "-c", LOADED.replace("FIRST", first)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout

    looking = loaded("from openqueue.processes.sweeps.sweeps import Sweeps; Sweeps()")
    assert "openqueue.alerts" not in looking
    assert looking == loaded("")
    assert "posting" in loaded("import openqueue.alerts.posting")
