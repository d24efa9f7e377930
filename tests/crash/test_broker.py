"""The crash table's rows about messages: between the commit, the broker, and the claim."""

from __future__ import annotations

import json
import random
import time
from typing import Any
from uuid import uuid4

import pytest

from openqueue.models import DeadLetter, Outbox, Run
from openqueue.runtimes.base import Message
from tests.app.crash_tasks import gated, quick
from tests.broker.broker import Broker
from tests.crash.carriers import Carrier
from tests.crash.invariants import check
from tests.crash.stage import CLAIM, Gates, Known, Stage, kinds, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.crash

DIES_BEFORE_IT_PUBLISHES = """
from django.db import transaction
runs = []
with transaction.atomic():
    transaction.on_commit(lambda: (print(runs[0].id, flush=True), os._exit(9)))
    runs.append(quick.trigger())
"""
DIES_BEFORE_IT_MARKS = """
from openqueue.core import post_commit
run = quick.trigger()
post_commit.publisher.idle.wait(10)
print(run.id, flush=True)
os._exit(9)
"""


@pytest.mark.sqlite_too
def test_a_web_process_that_dies_at_its_commit_leaves_the_announcement_to_the_sweep(
    stage: Stage, gates: Gates, on_broker: Broker
):
    stage.worker()
    run = Known(stage.client(DIES_BEFORE_IT_PUBLISHES))
    assert Outbox.objects.get(run_id=run.id).announced_at is None
    assert settled(run, within=10).attempt == 1
    assert len(on_broker.habits.seen) == 1


@pytest.mark.sqlite_too
def test_a_web_process_that_dies_before_it_marks_announces_twice_and_the_second_message_is_gone(
    stage: Stage, gates: Gates, on_broker: Broker
):
    run = Known(stage.client(DIES_BEFORE_IT_MARKS))
    assert on_broker.depth == 1
    assert Outbox.objects.get(run_id=run.id).announced_at is None
    stage.worker("--queues", "email")  # it announces, and does not serve the run
    eventually(lambda: on_broker.depth == 2)
    stage.worker("--no-scheduler")
    assert settled(run).attempt == 1
    eventually(lambda: on_broker.depth == 0)
    assert gates.starts(run) == [1]


def test_a_message_that_overtakes_its_mark_is_claimed_and_the_late_mark_hits_nothing(
    stage: Stage, gates: Gates, carrier: Carrier
):
    stage.worker()
    run = quick.trigger()
    row = settled(run)
    assert (row.started_at - row.created_at).total_seconds() < 1  # before the publisher marks
    stage.client(DIES_BEFORE_IT_MARKS)
    eventually(lambda: not Outbox.objects.exists())
    assert settled(run).version == row.version


def test_one_message_that_the_broker_lost_is_sent_again(stage: Stage, gates: Gates, on_broker: Broker):
    on_broker.habits.lose = 1
    runs = announced_runs()
    stage.worker()
    all_run_once(runs, gates)
    eventually(lambda: on_broker.depth == 0)


def test_all_that_the_broker_lost_is_sent_again(stage: Stage, gates: Gates, carrier: Carrier):
    runs = announced_runs()
    eventually(lambda: carrier.depth == 20)
    carrier.flush()
    stage.worker()
    all_run_once(runs, gates)
    eventually(lambda: carrier.depth == 0)


def announced_runs() -> list[Any]:
    runs = quick.trigger_many([{}] * 20)
    eventually(lambda: Outbox.objects.filter(announced_at__isnull=False).count() == 20)
    return runs


def all_run_once(runs: list[Any], gates: Gates) -> None:
    for run in runs:
        settled(run)
        assert gates.starts(run) == [1]


@pytest.mark.postgresql
def test_a_message_received_and_not_claimed_comes_again(
    stage: Stage, gates: Gates, carrier: Carrier, proxy: Proxy
):
    first = stage.worker(port=proxy.port)
    proxy.stall(CLAIM)
    run = quick.trigger()
    eventually(lambda: proxy.stalled, within=5)
    first.kill()
    stage.worker("--no-scheduler")
    row = settled(run)
    assert (row.attempt, row.crash_count) == (1, 0)
    assert gates.starts(run) == [1]
    eventually(lambda: carrier.depth == 0)


def test_claimed_and_not_acknowledged_the_message_that_comes_again_is_gone(
    stage: Stage, gates: Gates, carrier: Carrier
):
    """The worker dies after the record; what it did not acknowledge finds a finished run."""
    with carrier.proxy() as proxy:
        stage.settings["RUNTIMES"]["default"] = carrier.settings(proxy.port)
        first = stage.worker()
        proxy.stall(carrier.ack)
        run = gated.trigger()
        gates.wait_inside(run)
        gates.open()
        version = settled(run).version
        eventually(lambda: carrier.depth == 1)
        first.kill()
        proxy.pass_on()
        stage.worker()
        eventually(lambda: carrier.depth == 0)
    assert Run.objects.get(pk=run.id).version == version
    assert gates.starts(run) == [1]
    assert kinds(run) == ["triggered", "started", "completed"]


def test_redelivered_while_its_body_runs_the_message_is_gone_and_the_run_goes_on(
    stage: Stage, gates: Gates, carrier: Carrier
):
    stage.worker()
    run = gated.trigger()
    gates.wait_inside(run)
    carrier.put("default", Message(run.id, 1, gated.id, "default").encode(namespace="openqueue"))
    eventually(lambda: carrier.depth == 0)
    gates.open()
    assert settled(run).attempt == 1
    assert gates.starts(run) == [1]


def test_strange_messages_are_put_aside_and_the_others_flow(stage: Stage, gates: Gates, carrier: Carrier):
    """A message for an unknown run, as after a failover that lost commits, and poison."""
    stage.worker()
    carrier.put("default", Message(uuid4(), 1, quick.id, "default").encode(namespace="openqueue"))
    for poison in (b"", b"not json", b"[]", b'{"v": 1}', b'{"v": 99, "id": "x", "seq": 1}', b"cos\nsystem\n"):
        carrier.put("default", poison)
    run = quick.trigger()
    settled(run)
    eventually(lambda: carrier.depth == 0)
    assert DeadLetter.objects.count() == 6


def test_a_forged_message_runs_what_the_row_says(stage: Stage, gates: Gates, on_broker: Broker):
    """Whoever can write to the broker can ask for a run that is due anyway, and for nothing else."""
    run = quick.trigger()
    eventually(lambda: on_broker.depth == 1)
    on_broker.flush()
    forged = {
        "v": 1, "id": str(run.id), "seq": 1, "namespace": "theirs", "queue": "email", "task_id": "app.deadly",
        "attempt": 7, "priority": 100, "payload": {"ways": ["kill"]},
    }  # fmt: skip
    on_broker.put("default", json.dumps(forged))
    worker = stage.worker("--no-scheduler")
    row = settled(run)
    assert (row.task_id, row.attempt, row.result["attempt"]) == (quick.id, 1, 1)
    assert worker.process.poll() is None
    assert not DeadLetter.objects.exists()


def test_an_announcer_that_dies_before_it_publishes_leaves_the_row_to_others(
    stage: Stage, gates: Gates, on_broker: Broker
):
    run = Known(stage.client(DIES_BEFORE_IT_PUBLISHES))
    with Proxy(on_broker.port) as proxy:
        proxy.stall(b'"do": "publish"')
        stage.settings["RUNTIMES"]["default"]["OPTIONS"]["port"] = proxy.port
        first = stage.worker()
        eventually(lambda: proxy.stalled)
        row = Outbox.objects.get(run_id=run.id)
        assert (row.tries, row.announced_at) == (1, None), "leased, and not marked before it is out"
        first.kill()
        assert on_broker.habits.seen == []
        stage.settings["RUNTIMES"]["default"]["OPTIONS"]["port"] = on_broker.port
        stage.worker()
        row = settled(run)
    assert (row.attempt, row.crash_count) == (1, 0)
    assert len(on_broker.habits.seen) == 1


@pytest.mark.sqlite_too
def test_doubled_delayed_and_shuffled_every_body_runs_once(stage: Stage, gates: Gates, on_broker: Broker):
    on_broker.habits.double = 60
    on_broker.habits.delay = 0.3
    on_broker.habits.reorder = random.Random(1)
    for _ in range(2):
        stage.worker()
    runs = [run for _ in range(4) for run in quick.trigger_many([{"longest": 0.02}] * 15)]
    for run in runs:
        settled(run)
    eventually(lambda: on_broker.depth == 0)
    assert sorted(effect.run for effect in gates.effects()) == sorted(str(run.id) for run in runs)


def test_while_the_broker_is_away_triggering_takes_no_longer_and_all_of_it_runs_when_it_is_back(
    stage: Stage, gates: Gates, carrier: Carrier
):
    stage.worker()
    settled(quick.trigger())
    carrier.stop()
    runs = []
    for _ in range(20):
        began = time.monotonic()
        runs.append(quick.trigger(failures=1))
        assert time.monotonic() - began < 1
    carrier.start()
    for run in runs:
        assert settled(run).attempt == 2
    check(gates, quiet=True)
