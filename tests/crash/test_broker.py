"""The crash table's rows about messages: between the commit, the broker, and the claim."""

from __future__ import annotations

import random
import time
from uuid import uuid4

import pytest

from openqueue.models import DeadLetter, Outbox, Run
from openqueue.runtimes.base import Message
from tests.app.crash_tasks import gated, quick
from tests.broker.broker import Broker
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
    stage: Stage, gates: Gates, on_broker: Broker
):
    stage.worker()
    run = quick.trigger()
    row = settled(run)
    assert (row.started_at - row.created_at).total_seconds() < 1  # before the publisher marks
    stage.client(DIES_BEFORE_IT_MARKS)
    eventually(lambda: not Outbox.objects.exists())
    assert settled(run).version == row.version


@pytest.mark.parametrize("how", ["one", "all"])
def test_what_the_broker_lost_is_announced_again(stage: Stage, gates: Gates, on_broker: Broker, how: str):
    on_broker.habits.lose = 1 if how == "one" else 0
    runs = quick.trigger_many([{}] * 20)
    eventually(lambda: Outbox.objects.filter(announced_at__isnull=False).count() == 20)
    if how == "all":
        assert on_broker.flush() == 20
    stage.worker()
    for run in runs:
        settled(run)
        assert gates.starts(run) == [1]
    eventually(lambda: on_broker.depth == 0)


@pytest.mark.postgresql
def test_a_message_received_and_not_claimed_comes_again(
    stage: Stage, gates: Gates, on_broker: Broker, proxy: Proxy
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
    eventually(lambda: on_broker.depth == 0)


def test_claimed_and_not_acknowledged_the_message_that_comes_again_is_gone(
    stage: Stage, gates: Gates, on_broker: Broker
):
    """The worker dies after the record; what it did not acknowledge finds a finished run."""
    with Proxy(on_broker.port) as proxy:
        stage.settings["RUNTIMES"]["default"]["OPTIONS"]["port"] = proxy.port
        first = stage.worker()
        proxy.stall(b'"do": "ack"')
        run = gated.trigger()
        gates.wait_inside(run)
        gates.open()
        version = settled(run).version
        assert on_broker.depth == 1
        first.kill()
        proxy.pass_on()
        stage.worker()
        eventually(lambda: on_broker.depth == 0)
    assert Run.objects.get(pk=run.id).version == version
    assert gates.starts(run) == [1]
    assert kinds(run) == ["triggered", "started", "completed"]


def test_redelivered_while_its_body_runs_the_message_is_gone_and_the_run_goes_on(
    stage: Stage, gates: Gates, on_broker: Broker
):
    stage.worker()
    run = gated.trigger()
    gates.wait_inside(run)
    on_broker.put("default", Message(run.id, 1, gated.id, "default").encode(namespace="openqueue").decode())
    eventually(lambda: on_broker.depth == 0)
    gates.open()
    assert settled(run).attempt == 1
    assert gates.starts(run) == [1]


def test_strange_messages_are_put_aside_and_the_others_flow(stage: Stage, gates: Gates, on_broker: Broker):
    """A message for an unknown run, as after a failover that lost commits, and poison."""
    stage.worker()
    on_broker.put("default", Message(uuid4(), 1, quick.id, "default").encode(namespace="openqueue").decode())
    for poison in ("", "not json", "[]", '{"v": 1}', '{"v": 99, "id": "x", "seq": 1}', "cos\nsystem\n"):
        on_broker.put("default", poison)
    run = quick.trigger()
    settled(run)
    eventually(lambda: on_broker.depth == 0)
    assert DeadLetter.objects.count() == 6


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
    stage: Stage, gates: Gates, on_broker: Broker
):
    stage.worker()
    settled(quick.trigger())
    on_broker.stop()
    runs = []
    for _ in range(20):
        began = time.monotonic()
        runs.append(quick.trigger(failures=1))
        assert time.monotonic() - began < 1
    on_broker.start()
    for run in runs:
        assert settled(run).attempt == 2
    check(gates, quiet=True)
