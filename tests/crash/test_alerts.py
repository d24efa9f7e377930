"""Processes that die between an alert and its message: the message is sent all the same, under the same id."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from openqueue.alerts import deliveries
from openqueue.models import Alert, AlertDelivery
from tests.alerts.builders import Receiver, make_channel, make_rule
from tests.control.builders import make_run
from tests.crash.stage import Stage
from tests.eventually import eventually

pytestmark = [pytest.mark.crash, pytest.mark.mariadb_too, pytest.mark.sqlite_too]
OPENING = """
import os, signal, django; django.setup()
from openqueue.alerts import deliveries, evaluation
from openqueue.alerts.pulses import Pulses
{before}
assert evaluation.evaluate(evaluation.active(), pulses=Pulses()) == 1
{after}
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Any) -> None:
    settings.OPENQUEUE = {"ALERTS": {"ALLOWED_HOSTS": ["127.0.0.1"]}}


def dies(stage: Stage, *, before: str = "", after: str = "") -> None:
    """Run a process that sees the alert open, and is killed."""
    done = subprocess.run(
        [sys.executable, "-c", OPENING.format(before=before, after=after)],
        env=stage.surroundings(ALERTS={"ALLOWED_HOSTS": ["127.0.0.1"]}), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def nobody_works(receiver: Receiver) -> None:
    make_rule(make_channel(kind="webhook", url=receiver.url), kind="no_worker", threshold=0.0)
    make_run(at=timezone.now() - timedelta(minutes=1))


@contextmanager
def scheduler(stage: Stage) -> Iterator[None]:
    """Run a process that does these sweeps."""
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "openqueue_scheduler", "--only", "alerts,deliveries"],
        env=stage.surroundings(ALERTS={"ALLOWED_HOSTS": ["127.0.0.1"]}),
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def is_sent() -> bool:
    return AlertDelivery.objects.filter(state="sent").exists()


@pytest.mark.django_db(transaction=True)
def test_killed_before_the_commit_there_is_no_alert_and_the_next_look_opens_it(stage: Stage):
    with Receiver() as receiver:
        nobody_works(receiver)
        dies(stage, before="evaluation._tell = lambda *_: os.kill(os.getpid(), signal.SIGKILL)")
        assert not Alert.objects.exists()
        with scheduler(stage):
            eventually(is_sent, within=60)
    assert Alert.objects.filter(standing=1).count() == 1
    assert len(receiver.received) == 1


@pytest.mark.django_db(transaction=True)
def test_killed_between_the_alert_and_its_message_another_process_sends_it(stage: Stage):
    with Receiver() as receiver:
        nobody_works(receiver)
        dies(stage)
        assert (Alert.objects.count(), receiver.received) == (1, [])
        with scheduler(stage):
            eventually(is_sent, within=60)
    assert (Alert.objects.count(), len(receiver.received)) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_killed_between_sending_and_marking_it_comes_again_under_the_same_id(stage: Stage):
    with Receiver() as receiver:
        nobody_works(receiver)
        gone = "os.kill(os.getpid(), signal.SIGKILL)"
        dies(stage, after=f"deliveries.mark = lambda *_, **__: {gone}\ndeliveries.deliver(deliveries.take())")
        row = AlertDelivery.objects.get()
        assert (row.state, row.tries, len(receiver.received)) == ("waiting", 1, 1)
        assert deliveries.take() is None  # its lease holds
        AlertDelivery.objects.update(due_at=timezone.now())
        with scheduler(stage):
            eventually(is_sent, within=60)
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len(receiver.received) == 2
