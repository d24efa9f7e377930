from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from openqueue.models import Outbox, Run
from tests.control.builders import clock, make_run
from tests.eventually import eventually


@pytest.fixture
def scheduler(process_environment):
    """Start real schedulers; what the test leaves running is killed."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "openqueue_scheduler", *words],
            env=process_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scheduler_sweeps_until_it_is_told_to_stop(scheduler, number):
    late = make_run(status="scheduled", at=clock() - timedelta(minutes=1), delay=1)
    gone = make_run(at=clock() - timedelta(minutes=1), ttl=1)
    process = scheduler()
    eventually(lambda: Outbox.objects.get(run_id=late).ready)
    eventually(lambda: Run.objects.get(pk=gone).status == "expired")
    asked = time.monotonic()
    process.send_signal(number)
    out, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (0, "")
    assert time.monotonic() - asked < 5
    banner, stopped = out.split("Ready.\n")
    assert re.search(r"scheduler, pid \d+\n", banner)
    assert (
        "sweeps     due, permits, announce, schedules, reap, expiry, flows, rollups, depths, alerts, deliveries, "
        "retention, payloads\n" in banner
    )
    assert stopped == "Stopped.\n"


def test_only_the_sweeps_that_were_asked_for_are_made(scheduler):
    late = make_run(status="scheduled", at=clock() - timedelta(minutes=1), delay=1)
    gone = make_run(at=clock() - timedelta(minutes=1), ttl=1)
    process = scheduler("--only", "expiry", "--verbosity", "0")
    eventually(lambda: Run.objects.get(pk=gone).status == "expired")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=10) == ("", "")
    assert not Outbox.objects.get(run_id=late).ready


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["--only", "due,tea"],
            "--only 'due,tea': there is no sweep 'tea'. Choose from: due, permits, announce",
        ),
        (["--only", ","], "Choose from: due, permits, announce"),
        (["--runtime", "kafka"], "--runtime 'kafka' is not one of: default."),
    ],
)
def test_a_wrong_option_is_named(manage, words, complaint):
    assert complaint in manage("openqueue_scheduler", *words).error
