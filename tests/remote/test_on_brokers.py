"""Workers over HTTP on a queue that a broker carries: the database gives them work, the messages are dropped."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from openqueue import runtimes, trigger
from openqueue.core import post_commit
from openqueue.models import Claim, Outbox, Run
from tests.app.crash_tasks import gated
from tests.crash.stage import RECOVERY, Gates, kinds, settled
from tests.eventually import eventually
from tests.remote.fleet import QUEUE, Fleet
from tests.remote.program import TASK, Remote, answer_of
from tests.servers.redis import Redis


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_what_was_announced_is_claimed_all_the_same_and_its_message_is_found_gone(
    remote: Remote, redis_server: Redis, settings: Any
):
    settings.OPENQUEUE = {"REDIS": redis_server.url}
    run = trigger(TASK, {"path": "a"})
    runtime = runtimes.get("default")
    eventually(lambda: runtime.inspect("media").depth == 1)
    post_commit.publisher.flush()
    assert Outbox.objects.get().announced_at is not None
    (work,) = remote.claim()
    assert work["run"] == str(run.id)
    assert answer_of(remote.complete(work)) == (True, "completed", "")
    assert runtime.inspect("media").depth == 1  # until somebody receives it
    connections.close_all()


@pytest.fixture(params=["redis", "rabbitmq", "kafka"])
def broker(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a queue that a broker carries."""
    server = request.getfixturevalue(f"{request.param}_server")
    if request.param == "kafka":
        kafka = "openqueue.runtimes.kafka.KafkaRuntime"
        options = server.options | {"partitions": 1}
        # The brokers of a session are shared: names of their own keep other tests' topics out.
        return {
            "NAMESPACE": f"openqueue-{uuid4().hex[:6]}",
            "RUNTIMES": {"default": {"BACKEND": kafka, "OPTIONS": options}},
        }
    return {request.param.upper(): server.url}


@pytest.mark.once
@pytest.mark.crash
def test_both_kinds_work_on_one_queue_of_a_broker_are_killed_and_leave_no_message(
    fleet: Fleet, gates: Gates, broker: dict[str, Any], settings: Any
):
    fleet.settings |= broker
    settings.OPENQUEUE = fleet.settings
    fleet.serve()
    workers = [fleet.node(), fleet.python()]
    runs = [trigger("mixed.node", {}), gated.using(queue=QUEUE).trigger()]
    for run in runs:
        gates.wait_inside(run)
    for worker in workers:
        worker.kill()
    gates.open()
    fleet.node(), fleet.python()
    more = [trigger("mixed.node", {}) for _ in range(10)]
    for run in runs:
        row = settled(run, within=RECOVERY + 15)
        assert (row.attempt, row.crash_count, row.result["attempt"]) == (2, 1, 2)
        assert [kind for kind in kinds(run) if kind != "announced_again"] == [
            "triggered", "started", "worker_lost", "started", "completed",
        ]  # fmt: skip
    for run in more:
        assert settled(run, within=RECOVERY + 15).attempt == 1
        assert gates.starts(run) == [1]
    assert not Claim.objects.exists()
    assert not Outbox.objects.exists()
    assert Run.objects.filter(status="completed").count() == 12
    eventually(lambda: runtimes.get("default").inspect(QUEUE).depth == 0)
