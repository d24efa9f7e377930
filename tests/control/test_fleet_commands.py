"""openqueue_outbox, openqueue_schedules, openqueue_flows, and the doors of openqueue_queues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from openqueue import Flow, enqueue_flow, registry, task
from openqueue.models import AuditLog, Outbox, Run
from tests.app.tasks import add
from tests.control.builders import clock, make_run

pytestmark = pytest.mark.django_db
DOWN = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}


# --- openqueue_queues ---------------------------------------------------------------------------------------------


def test_a_queue_is_disabled_and_enabled(manage):
    answer = manage("openqueue_queues", "disable", "mail", "--behaviour", "skip", "--actor", "ada", "--json")
    assert answer.json == [{"queue": "mail", "answer": "disabled"}]
    assert "disabled (skip) by ada" in manage("openqueue_queues", "list", "mail").out
    manage("openqueue_queues", "pause", "mail", "--actor", "bob")
    assert "paused by bob" in (out := manage("openqueue_queues", "list", "mail").out)
    assert out.count("mail") == 1
    assert "enabled" in manage("openqueue_queues", "enable", "mail").out
    assert "disabled" not in manage("openqueue_queues", "list", "mail").out


def test_a_queue_is_closed_before_it_is_drained(manage):
    make_run(queue="mail")
    answer = manage(
        "openqueue_queues", "drain", "mail", "--close", "reject", "--timeout", "0.02", "--actor", "ada"
    )
    assert (answer.code, "1 due" in answer.error) == (1, True)
    assert "draining (reject) by ada" in manage("openqueue_queues", "list", "mail").out
    assert AuditLog.objects.get().act == "queue.drain"
    Outbox.objects.all().delete()
    assert manage("openqueue_queues", "drain", "mail", "--close", "reject").out == "Drained.\n"


# --- openqueue_outbox ---------------------------------------------------------------------------------------------


def test_what_waits_is_listed_for_people_and_for_scripts(manage, settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": DOWN}}
    assert "Nothing waits." in manage("openqueue_outbox", "list").out
    run, other = make_run(queue="mail"), make_run()
    Outbox.objects.filter(pk=run).update(last_error="ConnectionRefusedError: no", tries=2)
    out = manage("openqueue_outbox", "list").out
    for word in ("RUNTIME", "FAILED", str(run), "mail", "ConnectionRefusedError: no", "pending"):
        assert word in out
    page = manage("openqueue_outbox", "list", "--state", "failed", "--json").json
    assert list(page) == ["runtimes", "rows", "next"]
    assert [row["run_id"] for row in page["rows"]] == [str(run)]
    assert page["runtimes"][0]["failed"] == 1
    assert f"--after {run}" in manage("openqueue_outbox", "list", "--limit", "1").out
    assert str(other) in manage("openqueue_outbox", "list", "--after", run).out


def test_what_waits_is_flushed(manage):
    run = make_run(queue="mail")
    Outbox.objects.update(announce_at=clock() + timedelta(hours=1))
    answer = manage(
        "openqueue_outbox", "flush", run, "--reason", "broker is back", "--actor", "ada", "--json"
    )
    assert answer.json == {"flushed": 1}
    assert (AuditLog.objects.get().reason, Outbox.objects.get().announce_at <= clock()) == (
        "broker is back",
        True,
    )
    assert manage("openqueue_outbox", "flush", "--queue", "mail").out == "Nothing waited for another try.\n"


def test_what_nobody_knows_is_refused(manage):
    assert "not one of: default" in manage("openqueue_outbox", "flush", "--runtime", "nowhere").error
    assert "no run" in manage("openqueue_outbox", "flush", "0000abcd").error.lower()
    assert manage("openqueue_outbox", "flush", str(uuid4())).out == "Nothing waited for another try.\n"


# --- openqueue_schedules ------------------------------------------------------------------------------------------


@pytest.fixture
def schedule() -> Any:
    @task(id="tests.digest", secret=["password"])
    def digest(customer: int, password: str = "") -> None: ...

    yield digest.schedules.create(
        cron="0 8 * * *", timezone="Europe/Berlin", key="digest:7", payload={"customer": 7}
    ).row.pk
    registry.remove(digest)


def test_schedules_are_listed_and_one_is_shown(manage, schedule):
    out = manage("openqueue_schedules", "list").out
    for word in ("tests.digest", "digest:7", "0 8 * * *", "Europe/Berlin", "active"):
        assert word in out
    (listed,) = manage("openqueue_schedules", "list", "--status", "active", "--json").json["schedules"]
    assert (listed["id"], listed["cron"]) == (schedule, "0 8 * * *")
    assert "No such schedule." in manage("openqueue_schedules", "list", "--key", "x").out
    shown = manage("openqueue_schedules", "show", schedule, "--json").json
    assert list(shown) == ["schedule", "upcoming", "ticks"]
    assert len(shown["upcoming"]) == 5
    assert "digest:7" in manage("openqueue_schedules", "show", schedule).out


def test_a_schedule_is_paused_resumed_and_triggered(manage, schedule):
    assert manage("openqueue_schedules", "pause", schedule, "--actor", "ada", "--json").json == [
        {"schedule": schedule, "answer": "paused"}
    ]
    assert "already paused" in manage("openqueue_schedules", "pause", schedule).out
    assert "resumed" in manage("openqueue_schedules", "resume", schedule).out
    run = manage("openqueue_schedules", "trigger", schedule, "--reason", "asked for", "--json").json["run"]
    assert Run.objects.get(pk=run).schedule_id == schedule
    assert [act.act for act in AuditLog.objects.order_by("pk")] == [
        "schedule.pause",
        "schedule.resume",
        "schedule.trigger",
    ]


@pytest.mark.parametrize("act", ["show", "pause", "resume", "trigger"])
def test_a_schedule_that_is_not_there_is_said_so(manage, act):
    answer = manage("openqueue_schedules", act, "4711")
    assert (answer.code, "There is no schedule 4711." in answer.error) == (1, True)


# --- openqueue_flows ----------------------------------------------------------------------------------------------


@pytest.fixture
def flow() -> Any:
    graph = Flow("order")
    first = graph.add(add.bind(1, 2), name="first")
    graph.add(add.bind(1, 2), name="second", after=[first])
    return enqueue_flow(graph).id


def test_flows_are_listed_and_one_is_shown(manage, flow):
    out = manage("openqueue_flows", "list").out
    for word in (str(flow), "order", "running", "0/2"):
        assert word in out
    page = manage("openqueue_flows", "list", "--status", "running", "--name", "order", "--json").json
    assert [one["id"] for one in page["flows"]] == [str(flow)]
    assert manage("openqueue_flows", "list", "--name", "other").out == "No such flow.\n"
    out = manage("openqueue_flows", "show", flow).out
    assert "0 of 2 completed" in out
    assert out.splitlines()[-1].split()[:2] == ["second", "waiting"]
    assert [n["waits_for"] for n in manage("openqueue_flows", "show", flow, "--json").json["nodes"]] == [
        [],
        ["first"],
    ]


def test_a_flow_is_cancelled_and_begun_anew(manage, flow):
    assert "No node" in manage("openqueue_flows", "retry", flow).out
    answer = manage("openqueue_flows", "cancel", flow, "--actor", "ada", "--reason", "wrong order", "--json")
    assert answer.json == {"flow": str(flow), "answer": "cancelled"}
    assert AuditLog.objects.get().reason == "wrong order"
    assert manage("openqueue_flows", "cancel", flow).out == "finished\n"
    assert manage("openqueue_flows", "retry", flow).out == "2 nodes begin anew.\n"
    assert sorted(Run.objects.values_list("status", flat=True)) == ["queued", "waiting"]


@pytest.mark.parametrize("act", ["show", "cancel", "retry"])
def test_a_flow_that_is_not_there_is_said_so(manage, act):
    answer = manage("openqueue_flows", act, uuid4())
    assert (answer.code, "There is no flow" in answer.error) == (1, True)
