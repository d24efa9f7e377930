"""Short delays by RabbitMQ's clock: sooner, never early, once; and whatever becomes of a lane, nothing is lost."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from statistics import median
from typing import Any

import pytest

from openqueue.models import Outbox, Run, RunEvent
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.processes.sweeps.due import Due
from tests.app.crash_tasks import quick
from tests.crash.carriers import RealRabbitMQ
from tests.crash.invariants import check
from tests.crash.stage import RECOVERY, Gates, Stage, kinds, settled
from tests.eventually import eventually
from tests.servers.rabbitmq import RabbitMQ

pytestmark = pytest.mark.crash
PATIENCE = RECOVERY + 25
LANES = [1, 5]


@pytest.fixture
def lanes(stage: Stage, rabbitmq_server: RabbitMQ, settings: Any) -> Iterator[RealRabbitMQ]:
    """The default queue has delay lanes, the queue "plain" has none."""
    carrier = RealRabbitMQ(rabbitmq_server)
    plain = carrier.settings(carrier.port)
    default = plain | {"OPTIONS": plain["OPTIONS"] | {"delay_lanes": LANES}}
    stage.settings["RUNTIMES"] = {"default": default, "plain": plain}
    stage.settings["QUEUES"] = {"plain": {"runtime": "plain"}}
    settings.OPENQUEUE = stage.settings
    yield carrier
    carrier.runtime.close()


def lateness(run: Any) -> float:
    """Return the seconds from the moment at which the second attempt was due to its claim."""
    decided, begun = (
        RunEvent.objects.filter(run_id=run.id, kind=kind).latest("id") for kind in ("retrying", "started")
    )
    return (begun.at - datetime.fromisoformat(decided.data["next_run_at"])).total_seconds()


def held(carrier: RealRabbitMQ) -> int:
    return sum(count.ready for count in carrier.runtime.broker.count([f"openqueue.delay:{n}" for n in LANES]))


def test_a_retry_after_a_second_begins_sooner_than_by_the_sweeps_alone_and_never_early(
    stage: Stage, gates: Gates, lanes: RealRabbitMQ
):
    stage.worker()
    late: dict[str, list[float]] = {}
    for queue in ("default", "plain"):
        runs = [quick.using(queue=queue, backoff=1).trigger(failures=1) for _ in range(10)]
        for run in runs:
            assert settled(run).attempt == 2
            assert gates.starts(run) == [1, 2]
            late.setdefault(queue, []).append(lateness(run))
    told = {queue: f"{median(some) * 1000:.0f} ms" for queue, some in late.items()}
    sys.stdout.write(f"a retry after 1 s begins late by, in the median: {told}\n")
    assert min(late["default"]) >= 0
    assert median(late["default"]) < median(late["plain"]) / 2, late
    check(gates, quiet=True)


def test_a_delayed_run_begins_by_the_brokers_clock_as_well(stage: Stage, gates: Gates, lanes: RealRabbitMQ):
    """No sweep is there to help."""
    stage.worker("--no-scheduler")
    settled(quick.trigger())
    run = quick.using(delay=1.5).trigger()
    row = settled(run)
    assert row.started_at is not None
    assert row.started_at >= row.scheduled_for
    assert gates.starts(run) == [1]


def test_what_is_cancelled_while_it_waits_in_a_lane_never_begins(
    stage: Stage, gates: Gates, lanes: RealRabbitMQ
):
    stage.worker()
    settled(quick.trigger())
    run = quick.using(delay=2).trigger()
    eventually(lambda: held(lanes) == 1)
    assert run.cancel(actor="anna") == "cancelled"
    eventually(lambda: held(lanes) == 0)
    settled(quick.trigger())
    assert gates.starts(run) == []
    assert kinds(run) == ["triggered", "cancelled"]


def test_a_lane_that_lost_all_its_messages_costs_the_sweeps_second(
    stage: Stage, gates: Gates, lanes: RealRabbitMQ
):
    stage.worker()
    runs = quick.using(delay=3).trigger_many([{}] * 5)
    eventually(lambda: held(lanes) == 5)
    eventually(lambda: not Outbox.objects.filter(announced_at=None).exists())
    lanes.server.delete_queue("openqueue.delay:5")
    for run in runs:
        row = settled(run)
        assert row.started_at is not None
        assert 0 <= (row.started_at - row.scheduled_for).total_seconds() < 3
        assert gates.starts(run) == [1]


def test_a_broker_that_is_killed_while_its_lanes_are_full_loses_nothing(
    stage: Stage, gates: Gates, lanes: RealRabbitMQ
):
    for _ in range(2):
        stage.worker()
    runs = quick.using(delay=4).trigger_many([{}] * 20)
    retried = quick.using(backoff=4).trigger_many([{"failures": 1}] * 20)
    for run in retried:
        eventually(lambda run=run: Run.objects.get(pk=run.id).status == "retrying")
    eventually(lambda: held(lanes) >= 20)
    lanes.server.stop(signal.SIGKILL)
    lanes.server.start()
    for run in runs:
        assert settled(run, within=PATIENCE).attempt == 1
        assert gates.starts(run) == [1]
    for run in retried:
        assert settled(run, within=PATIENCE).attempt == 2
        assert gates.starts(run) == [1, 2]
    eventually(lambda: lanes.depth == 0, within=PATIENCE)
    check(gates, quiet=True)


def test_what_came_by_a_lane_and_waits_for_a_worker_is_not_amplified(lanes: RealRabbitMQ):
    """The sweeps find these rows due and announced, and ask the broker before they send once more."""
    quick.using(delay=2).trigger_many([{}] * 1_000)
    runtime = lanes.runtime
    due, announcer, until = Due(), Announcer(), time.monotonic() + 7
    while time.monotonic() < until:
        due.step()
        announcer.step()
        assert (runtime.inspect("default").depth or 0) <= 1_000
    assert Outbox.objects.filter(ready=True, tries__gte=1).count() == 1_000, "the sweeps have not come by"
    eventually(lambda: runtime.inspect("default").depth == 1_000)
