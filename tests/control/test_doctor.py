from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from openqueue import runtimes
from openqueue.control import doctor
from openqueue.control.doctor import brokers, clocks, examination, operation
from openqueue.models import AlertDelivery, Claim, DeadLetter, Outbox, QueueState, Run, Sweep, Worker
from openqueue.runtimes.base import BrokerFacts, Describes
from openqueue.runtimes.memory import MemoryRuntime
from openqueue.store import store
from tests.alerts.builders import make_channel
from tests.control.builders import clock, make_run, make_worker, pause

pytestmark = pytest.mark.django_db
MOST = 110 if connection.vendor == "postgresql" else 760  # SQLite is asked about each index by itself
MEMORY = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}
DOWN = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}


class Frank(MemoryRuntime):
    """A runtime that tells how its broker is set up."""

    def __init__(self, alias, told=None):
        super().__init__(alias)
        self.told = told

    def configuration(self):
        if self.told is None:
            raise ConnectionResetError("reset by peer")
        return BrokerFacts(**{"software": "frank", "version": "1", "persistence": ("disk",)} | self.told)


def frank(**told):
    return {"RUNTIMES": {"default": {"BACKEND": f"{__name__}.Frank", "OPTIONS": {"told": told}}}}


def ago(**span):
    return clock() - timedelta(**span)


def findings() -> dict[str, doctor.examination.Finding]:
    return {one.id: one for one in doctor.examine().findings if one.id not in OF_THE_TEST_SERVER}


OF_THE_TEST_SERVER = {"not_durable", "long_transaction"}
"""The quick suite's PostgreSQL does not wait for the disk."""


def test_a_healthy_system_has_no_findings():
    make_worker(queues=["default", "email"], tasks=["app.add"])
    make_run(queue="email")
    make_run(status="completed")
    Sweep.objects.create(name="reap", last_at=clock())
    assert findings() == {}
    seen = doctor.examine()
    assert seen.examined == ["settings", "overview", "database", "clocks", "work", "runtime default"]
    assert seen.facts["database"]["vendor"] == connection.vendor
    assert seen.at is not None


def test_mistakes_in_the_settings_are_found_and_nothing_else_is_looked_at(settings):
    settings.OPENQUEUE = {"LEASE": -1, "COLOUR": "red"}
    seen = doctor.examine()
    assert seen.examined == ["settings"]
    assert {one.id: one.level for one in seen.findings} == {
        "openqueue.E013": "error", "openqueue.E002": "error",
    }  # fmt: skip
    assert all(one.remedy for one in seen.findings)


def test_what_the_status_finds_the_doctor_finds_too(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": DOWN}}
    make_run()
    found = findings()
    assert (found["runtime"].level, found["no_worker"].level) == ("error", "error")
    assert "runtime default" not in doctor.examine().examined


def test_the_gravest_comes_first():
    make_run(queue="email")
    make_run(at=ago(minutes=10))
    make_worker(queues=["default"], tasks=["app.add"])
    levels = [one.level for one in doctor.examine().findings]
    assert levels == sorted(levels, key=examination.ORDER.index)
    assert {"error", "warning"} <= set(levels)


def test_a_part_that_cannot_be_looked_at_hides_no_other(monkeypatch, settings):
    def broken(facts):
        facts["seen"] = 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column FROM openqueue_run")
        yield

    monkeypatch.setattr(examination.database, "findings", broken)
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": f"{__name__}.Frank"}}}
    seen = doctor.examine()
    assert seen.examined == ["settings", "overview", "clocks", "work"]
    missed = {one.subject: one.message for one in seen.findings if one.id == "not_examined"}
    assert "no_such_column" in missed["database"]
    assert "ConnectionResetError: reset by peer" in missed["runtime default"]


@pytest.mark.postgresql
def test_no_statement_may_take_long(monkeypatch):
    def slow(facts):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        yield

    monkeypatch.setattr(examination, "LIMIT", timedelta(milliseconds=20))
    monkeypatch.setattr(examination.clocks, "findings", slow)
    assert "statement timeout" in findings()["not_examined"].message


def test_it_costs_the_same_whatever_there_is(django_assert_max_num_queries):
    make_worker(tasks=["app.add"])
    doctor.examine()  # Django asks some databases once a process what they can do
    with django_assert_max_num_queries(MOST) as few:
        doctor.examine()
    for number in range(20):
        make_run(queue=f"q{number}")
        make_run(queue=f"q{number}", status="running")
        make_run(status="completed")
    with django_assert_max_num_queries(MOST) as many:
        doctor.examine()
    assert len(many.captured_queries) == len(few.captured_queries)
    counted = [
        q["sql"] for q in many.captured_queries if 'COUNT(*) AS "__count" FROM "openqueue_run"' in q["sql"]
    ]
    assert counted == []


# --- the work --------------------------------------------------------------------------------------------------------


def test_a_paused_queue_with_work_is_told_with_its_reason():
    make_run(queue="email")
    pause("email")
    QueueState.objects.update(paused_at=ago(minutes=90))
    found = findings()["paused"]
    assert found.message == "1 due, and ada paused the queue 90 min ago. Reason: provider is down."
    assert found.remedy.endswith("`openqueue_queues resume email`.")
    Outbox.objects.all().delete()
    assert "paused" not in findings()


def test_runs_that_wait_where_no_new_ones_go_are_to_be_moved(settings):
    make_run(queue="email")
    settings.OPENQUEUE = {"RUNTIMES": {"events": MEMORY}, "QUEUES": {"email": {"runtime": "events"}}}
    assert findings()["other_runtime"].remedy == "Move them: `openqueue_queues move email --to events`."


def test_lost_workers_of_the_last_day_are_told():
    make_worker(at=ago(hours=3))
    store().mark_lost(limit=10)
    assert "web-1:4711" in findings()["workers_lost"].message
    Worker.objects.update(lease_until=ago(hours=25))
    assert "workers_lost" not in findings()


def test_workers_of_another_release_are_told():
    make_worker()
    assert "worker_version" not in findings()
    Worker.objects.update(version="0.0.9")
    assert "web-1:4711 (0.0.9)" in findings()["worker_version"].message


def test_tasks_that_no_live_worker_has_are_told():
    make_run()
    assert "unserved_task" not in findings()
    make_worker(tasks=["other.task"])
    assert "1 of app.add" in findings()["unserved_task"].message
    make_worker(tasks=["app.add"])
    assert "unserved_task" not in findings()


@pytest.mark.parametrize("status", ["queued", "running", "retrying", "scheduled"])
def test_a_run_in_no_place_is_told(status):
    run = make_run(status=status, at=ago(minutes=2))
    assert "in_no_place" not in findings()
    Outbox.objects.all().delete()
    Claim.objects.all().delete()
    found = findings()["in_no_place"]
    assert (found.level, str(run) in found.message) == ("error", True)
    Run.objects.update(created_at=clock())
    assert "in_no_place" not in findings()


def test_a_place_of_a_run_that_is_over_is_told():
    make_run()
    run = make_run(status="completed")
    Outbox.objects.filter().update(run_id=run)
    assert str(run) in findings()["places_of_finished"].message


def test_poison_of_the_last_day_is_told():
    def bury(at):
        DeadLetter.objects.create(
            runtime="default", queue="email", reason="poison", sha256="0" * 64, size=3, head="00", at=at
        )

    bury(ago(hours=30))
    assert "dead_letters" not in findings()
    bury(ago(hours=3))
    assert findings()["dead_letters"].message.startswith(
        "1 messages of the last day were no announcements, in email"
    )


def test_only_a_few_are_named():
    assert operation.some("abcde") == "a, b, c, d, e"
    assert operation.some("abcdefg") == "a, b, c, d, e and more"


# --- the database ----------------------------------------------------------------------------------------------------


def test_an_index_that_is_missing_is_told(monkeypatch):
    if connection.features.can_rollback_ddl:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX openqueue_outbox_later")
    else:
        read = connection.introspection.get_constraints
        monkeypatch.setattr(
            connection.introspection,
            "get_constraints",
            lambda *args: {
                name: one for name, one in read(*args).items() if name != "openqueue_outbox_later"
            },
        )
    found = findings()["missing_index"]
    assert (found.subject, found.level) == ("table openqueue_outbox", "error")
    assert "It lacks openqueue_outbox_later" in found.message


def test_a_migration_that_was_not_run_is_told():
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'openqueue' AND name LIKE '0002%%'")
    assert "0002_storage_parameters" in findings()["migrations"].message
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('openqueue', '0099_future', CURRENT_TIMESTAMP)"
        )
    assert findings()["migrations_ahead"].level == "info"


def test_the_caller_is_left_as_it_was():
    with transaction.atomic():
        doctor.examine()
        assert Run.objects.count() == 0
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SHOW statement_timeout")
                assert cursor.fetchone() == ("0",)


# --- clocks and brokers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "uncertain", "level"),
    [(0.5, 0.1, None), (-0.9, 0.0, None), (1.5, 0.7, None), (1.5, 0.1, "warning"), (-90.0, 0.1, "error")],
)
def test_clocks_that_are_apart_are_told_as_far_as_it_is_sure(ahead, uncertain, level):
    found = list(clocks.judge(ahead, uncertain=uncertain))
    assert [one.level for one in found] == ([level] if level else [])


def test_the_clock_of_the_database_is_asked(monkeypatch):
    monkeypatch.setattr(type(store()), "clock", lambda self, now: ago_by_host(seconds=10))
    facts = {}
    (found,) = clocks.findings(facts)
    assert "10.0 s ahead of the database" in found.message
    assert facts["host_ahead"] == pytest.approx(10, abs=0.5)


def ago_by_host(**span):
    from datetime import UTC, datetime

    return datetime.now(UTC) - timedelta(**span)


@pytest.mark.parametrize(
    ("told", "ids"),
    [
        ({"version": "7.0"}, set()),
        ({"eviction_policy": "noeviction", "used_memory": 90, "max_memory": 100}, set()),
        ({"eviction_policy": "allkeys-lru", "evicted": 3}, {"eviction"}),
        ({"persistence": ()}, {"not_persistent"}),
        ({"used_memory": 91, "max_memory": 100}, {"broker_memory"}),
        ({"used_memory": 95, "max_memory": 0}, set()),
        ({"refuses_writes": "it is a replica", "role": "slave"}, {"refuses_writes"}),
    ],
)
def test_what_a_runtime_tells_of_its_broker_is_judged(told, ids, settings):
    settings.OPENQUEUE = frank(**told)
    seen = doctor.examine()
    assert told.items() <= seen.facts["runtime default"].items()
    assert {one.id for one in seen.findings if one.subject == "runtime default"} == ids


def test_a_runtime_that_tells_nothing_is_fine(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": MEMORY}}
    assert not isinstance(runtimes.get("default"), Describes)
    assert list(brokers.examine("default", {})) == []
    assert "runtime default" in doctor.examine().examined


def test_channels_of_alerts_that_messages_do_not_reach_are_named():
    def given_up(name: str, *, days: float, state: str = "failed") -> None:
        AlertDelivery.objects.create(
            channel=make_channel(name=name), channel_name=name, event="opened", facts={}, state=state, log=[],
            created_at=ago(days=days),
        )  # fmt: skip

    given_up("old", days=2)
    given_up("well", days=0, state="sent")
    assert list(operation.of_channels(clock(), {})) == []
    given_up("chat", days=0)
    (finding,) = operation.of_channels(clock(), {})
    assert (finding.id, finding.level) == ("alert_channel_failing", "warning")
    assert "1 to chat" in finding.message
