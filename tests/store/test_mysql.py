"""What is MariaDB's own: isolation, locks, letters, packets, and what each verb costs in statements."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from openqueue.core import transitions
from openqueue.ids import uuid7
from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.states import Kind, Reason, Status
from openqueue.store import store
from openqueue.store.refusals import is_locked, is_transient, took_too_long
from openqueue.types import Announcement, NewRun
from tests.store import fleet, history
from tests.store.fleet import TASK, Clock, FakeWorker
from tests.store.test_claim import elsewhere

pytestmark = [pytest.mark.mariadb, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(clock)


@pytest.fixture(params=["read committed", "repeatable read", None])
def isolation(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """New connections have the isolation that a project may choose; None is the server's own."""
    options = connections.settings["default"]["OPTIONS"]
    connection.close()
    options["isolation_level"] = request.param
    connection.settings_dict["OPTIONS"] = options
    yield request.param
    connection.close()
    del options["isolation_level"]


def in_threads(*acts: Callable[[], Any]) -> list[Any]:
    """Do all of it at a time, each on a connection of a worker's own; return their answers."""
    answers: list[Any] = []
    errors: list[BaseException] = []
    ready = threading.Barrier(len(acts))

    def work(act: Callable[[], Any]) -> None:
        store().pin_plans()
        try:
            ready.wait(10)
            answers.append(act())
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return answers


def ask(question: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()


# --- against each other -------------------------------------------------------------------------------------------


def test_eight_claim_and_settle_against_each_other_and_each_run_ends_once(
    isolation: str | None, clock: Clock
):
    """Deadlocks and lock waits are sent again inside: none reaches a worker, none costs an attempt."""
    runs = fleet.make_run(clock, runs=240)
    stop = threading.Event()

    def serve() -> int:
        worker, ended = FakeWorker(clock), 0
        while attempts := worker.claim(7):
            first, second = attempts[::2], attempts[1::2]
            ended += len(worker.settle(*(fleet.completes(a) for a in first)))
            if second:  # once more, for whom it is the first attempt
                endings = [fleet.retries(a) if a.attempt == 1 else fleet.completes(a) for a in second]
                worker.settle(*endings)
                ended += sum(a.attempt > 1 for a in second)
        return ended

    def meddle() -> int:
        cancelled = 0
        while not stop.is_set() and Outbox.objects.exists():
            some = list(Outbox.objects.order_by("?").values_list("run_id", flat=True)[:3])
            cancelled += len(transitions.cancel_waiting(some, actor="", now=clock.now))
            store().lease_announcements(runtime="broker", rooms={"default": 10}, now=clock.now)
        return cancelled

    ended = in_threads(*[serve] * 8, meddle)
    assert sum(ended) == len(runs)
    assert not Outbox.objects.exists()
    assert not Claim.objects.exists()
    history.verify()
    assert set(Run.objects.values_list("crash_count", flat=True)) == {0}


@contextmanager
def half_way(act: Callable[[], Any], *, before: str) -> Iterator[None]:
    """Do something on another connection, and let it stand before a statement meanwhile."""
    inside, leave = threading.Event(), threading.Event()

    def stand(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if before in sql:
            inside.set()
            leave.wait(20)
        return execute(sql, *rest)

    def work() -> None:
        with connection.execute_wrapper(stand):
            act()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    try:
        yield
    finally:
        leave.set()
        thread.join(10)


def test_two_workers_both_get_rows_and_nobody_waits(isolation: str | None, clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, runs=20)
    other = FakeWorker(clock)
    with half_way(lambda: worker.claim(10), before="INSERT INTO openqueue_runevent"):
        attempts = other.claim(20)
        assert len(attempts) == 10
        fleet.make_run(clock)
        assert len(other.settle(*map(fleet.retries, attempts))) == 10
        attempts = other.claim(20)
        assert len(attempts) == 11
    assert Claim.objects.count() == 21
    with half_way(
        lambda: other.settle(*map(fleet.completes, attempts)), before="INSERT INTO openqueue_runevent"
    ):
        fleet.make_run(clock, runs=5)
        assert len(worker.claim(20)) == 5


def test_workers_keep_their_locks_to_the_rows_whatever_the_project_chose(isolation: str | None, clock: Clock):
    with CaptureQueriesContext(connection) as asked:
        FakeWorker(clock).claim()
    said = [
        query["sql"] for query in asked if "SET TRANSACTION ISOLATION LEVEL READ COMMITTED" in query["sql"]
    ]
    assert bool(said) == (isolation != "read committed")


def test_a_run_that_somebody_else_has_locked_is_left_and_the_others_flow(clock: Clock, worker: FakeWorker):
    locked, free = fleet.make_run(clock, runs=2)
    with elsewhere(lambda: list(Run.objects.select_for_update().filter(pk=locked))):
        assert [a.run_id for a in worker.claim()] == [free]
        assert list(Outbox.objects.values_list("run_id", flat=True)) == [locked]
    assert [a.run_id for a in worker.claim()] == [locked]
    history.verify()


def test_an_outbox_row_without_its_run_is_deleted_and_reported(
    clock: Clock, worker: FakeWorker, caplog: pytest.LogCaptureFixture
):
    lost, sound = fleet.make_run(clock, runs=2)
    Run.objects.filter(pk=lost)._raw_delete("default")
    assert [a.run_id for a in worker.claim()] == [sound]
    assert [record.run_id for record in caplog.records] == [str(lost)]
    assert not Outbox.objects.exists()


def test_a_claim_by_name_waits_two_seconds_for_a_locked_row(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    with (
        elsewhere(lambda: list(Outbox.objects.select_for_update().filter(pk=run))),
        pytest.raises(OperationalError) as refused,
    ):
        worker.claim_named((run, 1))
    assert is_transient(refused.value)
    assert worker.claim_named((run, 1)).answers == {(run, 1): "claimed"}


def test_a_worker_s_session_waits_two_seconds_for_locks_and_a_request_s_as_long_as_it_did(clock: Clock):
    before = ask("SELECT @@innodb_lock_wait_timeout")

    def patience() -> int:
        FakeWorker(clock).claim()
        return ask("SELECT @@innodb_lock_wait_timeout")[0]

    assert in_threads(patience) == [2]
    FakeWorker(clock).claim()
    assert ask("SELECT @@innodb_lock_wait_timeout") == before


@pytest.mark.parametrize("number", [1020, 1213])
def test_a_deadlock_and_a_changed_record_are_sent_again(monkeypatch: pytest.MonkeyPatch, number: int):
    failures = [OperationalError(number, "try again")] * 3

    def settle(*_: Any, **__: Any) -> list[Any]:
        if failures:
            raise failures.pop()
        return []

    monkeypatch.setattr(store(), "settle", settle)
    gone = transitions.released(uuid4(), uuid4(), age=None, own=False, why="test")
    assert transitions.settle([gone]) == []
    assert failures == []


def test_errors_are_told_apart_by_their_numbers():
    assert [is_transient(OperationalError(n, "")) for n in (1205, 3572, 2006, 1290)] == [
        True,
        True,
        False,
        False,
    ]
    assert [is_locked(OperationalError(n, "")) for n in (1205, 3572, 1213)] == [True, True, False]
    assert [took_too_long(OperationalError(n, "")) for n in (1969, 3024, 1205)] == [True, True, False]


def test_a_settle_leaves_what_somebody_else_has_locked_for_another_time(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, runs=3)
    locked, *others = worker.claim()
    left: list[Any] = []

    def settle() -> list[Any]:
        return transitions.settle([fleet.completes(a) for a in (locked, *others)], left=left, now=clock.now)

    with elsewhere(lambda: list(Run.objects.select_for_update().filter(pk=locked.run_id))):
        (settled,) = in_threads(settle)
    assert {s.run_id for s in settled} == {a.run_id for a in others}
    assert [o.run_id for o in left] == [locked.run_id]
    assert worker.settle(*left) == ["completed"]


def test_a_verb_that_fails_half_way_in_the_caller_s_transaction_leaves_nothing_to_commit():
    good = NewRun(id=uuid7(), task_id=TASK, queue="default", runtime="default", payload="{}")
    with transaction.atomic():
        with pytest.raises(OperationalError):
            store().create([good._replace(head_start=1e40)])
        assert connection.needs_rollback
    assert not Run.objects.exists()


# --- letters, packets, clocks -------------------------------------------------------------------------------------


def test_every_table_is_innodb_and_compares_text_byte_by_byte():
    with connection.cursor() as cursor:
        for model in apps.get_app_config("openqueue").get_models():
            cursor.execute(
                "SELECT engine, table_collation FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_name = %s",
                [model._meta.db_table],
            )
            assert cursor.fetchone() == ("InnoDB", "utf8mb4_nopad_bin"), model
            cursor.execute(
                "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
                " AND table_name = %s AND collation_name IS NOT NULL",
                [model._meta.db_table],
            )
            assert cursor.fetchall() in ((), (("utf8mb4_nopad_bin",),)), model


def test_names_that_differ_in_a_letter_s_size_or_a_space_are_different(clock: Clock):
    tasks = ["test.a", "test.A", "test.a ", "test.á"]
    runs = {task: fleet.make_run(clock, task_id=task) for task in tasks}
    for task in tasks:
        assert [a.run_id for a in FakeWorker(clock, known=[task]).claim()] == [runs[task]]
    fleet.make_run(clock, queue="A")
    fleet.make_run(clock, queue="a")
    assert sorted(store().outbox_queues(runtime="default")) == ["A", "a"]


def test_text_of_any_plane_comes_back_as_it_went(clock: Clock, worker: FakeWorker):
    text = '"😀 \U00020000\\u0000 \\" \\\\ % %s \u2028"'
    fleet.make_run(clock, payload=text)
    (attempt,) = worker.claim()
    assert attempt.payload == text
    worker.settle(fleet.completes(attempt, text))
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload, result FROM openqueue_run")
        assert cursor.fetchone() == (text, text)


def test_a_batch_longer_than_a_packet_is_written_and_read(clock: Clock, worker: FakeWorker):
    text = '"' + '\\"' * 131_071 + '"'
    count = ask("SELECT @@max_allowed_packet")[0] // len(text) + 10
    fleet.make_run(clock, runs=count, payload=text)
    attempts = worker.claim(count)
    assert {a.payload for a in attempts} == {text}
    worker.settle(*(fleet.completes(a, text) for a in attempts))
    assert Run.objects.filter(status="completed", result=text).count() in {0, count}  # the codec's equality
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM openqueue_run WHERE result = %s AND payload = %s", [text, text])
        assert cursor.fetchone() == (count,)


@pytest.mark.parametrize("zone", ["+00:00", "-11:00"])
def test_moments_are_the_database_s_and_utc_whatever_zone_a_session_has(zone: str):
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = %s", [zone])
    before = datetime.now(UTC)
    run = NewRun(
        id=uuid7(), task_id=TASK, queue="default", runtime="default", payload="{}", delay=1.5, ttl=2.25
    )
    store().create([run])
    row, place = Run.objects.get(), Outbox.objects.get()
    assert timedelta(seconds=-1) < row.created_at - before < timedelta(seconds=5)
    assert row.scheduled_for - row.created_at == timedelta(seconds=1.5)
    assert place.expires_at == row.expires_at == row.scheduled_for + timedelta(seconds=2.25)
    assert timedelta(seconds=-1) < store().clock(None) - before < timedelta(seconds=5)
    connection.close()


# --- what it costs ------------------------------------------------------------------------------------------------


def statements(act: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as asked:
        act()
    return sum(not (q["sql"] or "").startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for q in asked)


@pytest.mark.parametrize("size", [1, 50])
def test_every_verb_costs_the_same_statements_whatever_its_batch(clock: Clock, worker: FakeWorker, size: int):
    new = [NewRun(id=uuid7(), task_id=TASK, queue="q", runtime="default", payload="{}") for _ in range(size)]
    named = [(run.id, 1) for run in new]
    ids = [run.id for run in new]
    now = clock.now
    assert statements(lambda: store().create(new, now=now)) == 4
    assert statements(lambda: store().lease_announcements(runtime="default", rooms={"q": size}, now=now)) == 2
    marks = [(run, 1, 1, "ref", None, 60.0) for run in ids]
    assert statements(lambda: store().mark_announced(marks, now=now)) == 1
    deferring = FakeWorker(clock, known=[])
    assert statements(lambda: deferring.claim_named(*named)) == 2
    assert statements(lambda: worker.claim_named(*named)) == 5
    assert statements(worker.beat) == 2
    held = dict(Claim.objects.values_list("run_id", "token"))
    assert len(held) == size
    back = [transitions.released(run, token, age=None, own=True, why="") for run, token in held.items()]
    assert statements(lambda: store().settle(back, now=now)) == 5
    attempts: list[Any] = []
    assert statements(lambda: attempts.extend(worker.claim(rooms={"q": size, "other": size}))) == 5
    assert len(attempts) == size
    endings = [fleet.retries(attempt, 5) for attempt in attempts]
    assert statements(lambda: store().settle(endings, now=now)) == 5
    assert statements(lambda: store().flip_ready(limit=size, now=now)) == 1
    assert statements(lambda: store().flip_ready(limit=size, now=clock.pass_(6))) == 3
    ended: dict[str, Any] = {"status": Status.CANCELLED, "reason": Reason.BY_USER, "kind": Kind.CANCELLED}
    assert statements(lambda: store().withdraw([(run, None) for run in ids], **ended, now=clock.now)) == 4
    assert statements(lambda: store().requeue(ids, actor="", head_start=0, now=clock.now)) == 4
    last = worker.claim(rooms={"q": size})
    assert statements(lambda: store().settle([fleet.completes(a) for a in last], now=clock.now)) == 4
    assert Run.objects.filter(status="completed").count() == size
    history.verify()


def test_an_announcement_is_leased_with_its_tries(clock: Clock):
    run = fleet.make_run(clock, runtime="broker")
    ((leased, announced, ref),) = store().lease_announcements(
        runtime="broker", rooms={"default": 1}, now=clock.now
    )
    assert leased == Announcement(run, 1, 1, 1, TASK, "broker", "default", 0, unheard=1)
    assert (announced, ref, RunEvent.objects.count()) == (False, None, 1)
