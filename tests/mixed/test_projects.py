"""Queues on four runtimes in one project, served by one worker."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from django.db import transaction
from opentelemetry import trace

from openqueue import trigger_many
from openqueue.control import overview
from openqueue.models import Run, Worker
from tests.app.crash_tasks import quick, traced
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage, settled
from tests.eventually import eventually
from tests.mixed.conftest import RUNTIMES
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

pytestmark = [pytest.mark.crash, pytest.mark.sqlite_too, pytest.mark.mariadb_too]


def test_one_worker_serves_the_queues_of_four_runtimes(mixed: Stage, gates: Gates):
    worker = mixed.worker()
    with transaction.atomic():
        runs = trigger_many([quick.using(queue=f"on-{alias}").bind() for alias in RUNTIMES for _ in range(5)])
    for run in runs:
        assert settled(run, within=40).attempt == 1
        assert gates.starts(run) == [1]
    assert {row.runtime for row in Run.objects.all()} == set(RUNTIMES)
    assert {effect.pid for effect in gates.effects()} == {worker.pid}
    assert set(Worker.objects.get().runtimes) == set(RUNTIMES)
    check(gates, expected=[run.id for run in runs], quiet=True)


def test_one_trace_goes_on_in_the_bodies_of_all_runtimes(mixed: Stage):
    mixed.worker()
    mine = trace.SpanContext(int("0af7651916cd43dd8448eb211c80319c", 16), 7, False, trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(mine)):
        runs = trigger_many([traced.using(queue=f"on-{alias}").bind() for alias in RUNTIMES])
    for run in runs:
        assert settled(run, within=40).result == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("away", ["redis", "rabbitmq"])
def test_a_broker_that_is_away_holds_up_its_own_queues_alone(
    away: str, mixed: Stage, gates: Gates, redis_server: Redis, rabbitmq_server: RabbitMQ
):
    mixed.worker()
    settled(quick.using(queue="on-kafka").trigger(), within=40)
    server: Any = {"redis": redis_server, "rabbitmq": rabbitmq_server}[away]
    server.send(signal.SIGSTOP)
    try:
        waits = quick.using(queue=f"on-{away}").trigger()
        for alias in RUNTIMES:
            if alias != away:
                settled(quick.using(queue=f"on-{alias}").trigger())
        assert gates.starts(waits) == []
        down = eventually(lambda: {r.alias for r in overview.read().runtimes if not r.ok})
        assert down == {away}
    finally:
        server.send(signal.SIGCONT)
    assert settled(waits, within=60).attempt == 1
