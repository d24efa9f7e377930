"""A key makes one run of many triggers, and is free again when it should be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from openqueue import TaskDeclarationError, trigger_many
from openqueue.control import runs
from openqueue.control.actor import Actor
from openqueue.core import cancellation, transitions, uniqueness
from openqueue.models import DedupeKey, Outbox, Run, RunEvent
from openqueue.processes.sweeps.retention import Retention
from openqueue.store import keys, store
from tests.app.tasks import add
from tests.store.fleet import Clock, FakeWorker, completes, events, fails, releases, retries
from tests.uniqueness.keyed import trigger

pytestmark = pytest.mark.django_db(transaction=True)
ADA = Actor(name="ada")


def test_a_second_trigger_gives_the_first_run(clock: Clock):
    first, second = trigger(), trigger()
    assert (first.created, second.created) == (True, False)
    assert (second.id, second.status, second.task_id, second.queue) == (first.id, "queued", add.id, "default")
    assert Run.objects.get().dedupe_key == "k"
    assert Outbox.objects.count() == 1


@pytest.mark.parametrize("end", [completes, fails])
def test_a_key_is_free_when_its_run_has_ended(clock: Clock, worker: FakeWorker, end: Any):
    first = trigger()
    (attempt,) = worker.claim()
    assert not trigger().created
    worker.settle(end(attempt))
    assert not DedupeKey.objects.exists()
    second = trigger()
    assert second.created
    assert second.id != first.id


@pytest.mark.parametrize("back", [lambda a: retries(a, 5), releases])
def test_a_key_is_not_free_while_its_run_comes_back(clock: Clock, worker: FakeWorker, back: Any):
    first = trigger()
    worker.settle(back(*worker.claim()))
    assert trigger().id == first.id


def test_a_cancelled_and_an_expired_run_free_their_keys(clock: Clock):
    cancelled, expired = trigger("a"), trigger("b", ttl=5)
    cancellation.cancel([cancelled.id], actor="ada", now=clock.now)
    transitions.expire(limit=10, now=clock.pass_(6))
    assert not DedupeKey.objects.exists()
    assert trigger("a").created
    assert trigger("b").id != expired.id


def test_a_run_that_crashed_for_good_frees_its_key(clock: Clock, worker: FakeWorker):
    trigger()
    (a,) = worker.claim()
    lost = transitions.lost(a.run_id, a.token, crash_count=0, max_crashes=3, worker_id=worker.id)
    assert worker.settle(lost) == ["queued"]
    assert not trigger().created
    (a,) = worker.claim()
    lost = transitions.lost(a.run_id, a.token, crash_count=2, max_crashes=3, worker_id=worker.id)
    assert worker.settle(lost) == ["failed"]
    assert trigger().created


def test_a_row_that_outlived_its_run_does_not_count(clock: Clock, worker: FakeWorker, monkeypatch: Any):
    trigger()
    monkeypatch.setattr(
        keys, "free", lambda *_, **__: None
    )  # as when somebody has the row locked at that moment
    worker.settle(completes(*worker.claim()))
    assert DedupeKey.objects.exists()
    second = trigger()
    assert second.created
    assert DedupeKey.objects.get().run_id == second.id
    Run.objects.all().delete()  # as retention does
    assert trigger().created


def test_the_same_key_of_another_task_or_queue_is_another_key(clock: Clock, declare: Any):
    @declare
    def greet() -> None: ...

    assert trigger().created
    assert greet.using(dedupe_key="k").trigger().created
    assert not trigger(queue="mail").created
    assert trigger(dedupe_scope="queue").created
    assert not greet.using(dedupe_key="k", dedupe_scope="queue").trigger().created
    assert trigger(dedupe_scope="queue", queue="mail").created
    assert trigger(dedupe_scope="all").created
    assert not greet.using(dedupe_key="k", dedupe_scope="all", queue="mail").trigger().created
    assert trigger("K").created  # where the database does not tell them apart as well
    assert trigger("k ").created


@pytest.mark.parametrize(
    "key", ["Zoë \N{PILE OF POO}", 'it\'s "100 %" \\ {}', "x" * 200, "\N{PILE OF POO}" * 200]
)
def test_a_key_may_be_any_printable_text(clock: Clock, key: str):
    first = trigger(key)
    assert trigger(key).id == first.id
    assert Run.objects.get().dedupe_key == DedupeKey.objects.get().key == key


def test_a_key_until_the_start_lets_the_next_one_wait_behind_it(clock: Clock, worker: FakeWorker):
    first = trigger(dedupe_until="start")
    assert trigger(dedupe_until="start").id == first.id
    (running,) = worker.claim()
    second = trigger(dedupe_until="start")
    assert second.created
    assert trigger(dedupe_until="start").id == second.id
    worker.settle(completes(running))
    assert trigger(dedupe_until="start").id == second.id


def test_a_completed_run_answers_within_its_window(clock: Clock, worker: FakeWorker):
    first = trigger(dedupe_window=timedelta(minutes=1))
    worker.settle(completes(*worker.claim(), result="3"))
    clock.pass_(59)
    again = trigger(dedupe_window=timedelta(minutes=1))
    assert (again.id, again.created, again.status, again.result) == (first.id, False, "completed", 3)
    clock.pass_(2)
    assert trigger().created


def test_a_failed_run_does_not_answer_within_its_window(clock: Clock, worker: FakeWorker):
    trigger(dedupe_window=60)
    worker.settle(fails(*worker.claim()))
    assert not DedupeKey.objects.exists(), "nobody has to look twice at it"
    assert trigger(dedupe_window=60).created


def test_retention_deletes_keys_whose_window_is_over(clock: Clock, worker: FakeWorker):
    trigger("over", dedupe_window=60)
    trigger("open", dedupe_window=600)
    worker.settle(*map(completes, worker.claim()))
    trigger("unfinished")
    Retention().step(now=clock.pass_(61))
    assert set(DedupeKey.objects.values_list("key", flat=True)) == {"open", "unfinished"}


# --- inside transactions ------------------------------------------------------------------------------------------


def test_a_rolled_back_trigger_leaves_its_key_free(clock: Clock):
    with transaction.atomic():
        trigger()
        transaction.set_rollback(True)
    assert trigger().created


def test_a_duplicate_breaks_nothing_in_the_callers_transaction(clock: Clock):
    first = trigger()
    with transaction.atomic():
        assert trigger().id == first.id
        other = trigger("other")
        assert trigger("other").id == other.id
        assert Run.objects.count() == 2
    assert Run.objects.count() == 2


def test_a_savepoint_that_is_undone_gives_its_key_back(clock: Clock):
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic():
            trigger()
            raise IntegrityError
        assert trigger().created


# --- many ---------------------------------------------------------------------------------------------------------


def test_a_batch_makes_one_run_a_key(clock: Clock):
    before = trigger("b")
    calls = [add.using(dedupe_key=key).bind(n, 0) for n, key in enumerate(["a", "b", "a", "c", "b"])]
    handles = trigger_many([*calls, add.bind(7, 7), add.bind(7, 7)])
    assert [h.created for h in handles] == [True, False, False, True, False, True, True]
    assert handles[2].id == handles[0].id
    assert handles[1].id == handles[4].id == before.id
    assert Run.objects.get(pk=handles[0].id).payload == {"a": 0, "b": 0}
    assert Run.objects.count() == 5


def statements(act: Any) -> int:
    with CaptureQueriesContext(connection) as seen:
        act()
    said = [q["sql"] or "PREPARED" for q in seen]  # Django 5.2 cannot show a prepared one
    return len(
        [sql for sql in said if sql.split()[0] not in {"BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "SET"}]
    )


def test_the_number_of_statements_does_not_grow_with_the_batch(clock: Clock):
    def batch(size: int, prefix: str) -> list[Any]:
        return [add.using(dedupe_key=f"{prefix}{n}").bind(n, 0) for n in range(size)]

    trigger("warm")
    counts = {statements(lambda size=size: trigger_many(batch(size, f"{size}-"))) for size in (2, 600)}
    assert len(counts) == 1
    # Their traces are written by the ORM, which on Django 5.2 gives SQLite 999 values in one statement.
    duplicates = {statements(lambda size=size: trigger_many(batch(size, "600-"))) for size in (2, 100)}
    assert len(duplicates) == 1
    assert Run.objects.count() == 603


def test_a_key_costs_one_statement_and_none_where_there_is_no_key(clock: Clock):
    trigger("warm")
    plain = statements(lambda: add.trigger(1, 2))
    with_key = statements(lambda: trigger("new"))
    assert with_key == plain + 1
    usual = {"postgresql": 1, "sqlite": 3, "mysql": 4}[connection.vendor]
    assert plain == usual


# --- what can be seen of it ---------------------------------------------------------------------------------------


def test_duplicates_leave_a_trace_that_ends(clock: Clock):
    first = trigger()
    for _ in range(uniqueness.MOST_TOLD + 5):
        trigger()
    assert len(events(first.id, "duplicate")) == uniqueness.MOST_TOLD
    assert RunEvent.objects.filter(run_id=first.id, version__isnull=False).count() == 1


@pytest.mark.parametrize("options", [{}, {"dedupe_scope": "all"}, {"dedupe_window": 600}])
def test_an_operators_retry_takes_the_key_again(clock: Clock, worker: FakeWorker, options: Any):
    first = trigger(**options)
    worker.settle(completes(*worker.claim()))
    assert runs.retry([first.id], actor=ADA) == {first.id: "requeued"}
    clock.pass_(1)
    assert trigger(**options).id == first.id
    worker.settle(fails(*worker.claim()))
    assert trigger(**options).created


def test_an_operators_retry_is_refused_while_another_has_the_key(clock: Clock, worker: FakeWorker):
    first, other = trigger(), trigger("other")
    worker.settle(*map(fails, worker.claim()))
    second = trigger()
    answers = runs.retry([first.id, other.id, missing := uuid4()], actor=ADA)
    assert answers == {first.id: "duplicate", other.id: "requeued", missing: "missing"}
    assert Run.objects.get(pk=first.id).status == "failed"
    assert DedupeKey.objects.get(key="k").run_id == second.id


def test_of_two_runs_with_one_key_an_operator_retries_the_older(clock: Clock, worker: FakeWorker):
    older = trigger()
    worker.settle(fails(*worker.claim()))
    newer = trigger()
    worker.settle(fails(*worker.claim()))
    answers = runs.retry([newer.id, older.id], actor=ADA)
    assert answers == {older.id: "requeued", newer.id: "duplicate"}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"dedupe_key": ""}, "dedupe_key"),
        ({"dedupe_key": 7}, "dedupe_key"),
        ({"dedupe_key": "x" * 201}, "dedupe_key"),
        ({"dedupe_key": "a\0b"}, "dedupe_key"),
        ({"dedupe_key": "\ud800"}, "dedupe_key"),
        ({"dedupe_scope": "app"}, "dedupe_scope"),
        ({"dedupe_until": "never"}, "dedupe_until"),
        ({"dedupe_window": -1}, "dedupe_window"),
        ({"dedupe_window": "1h"}, "dedupe_window"),
        ({"debounce": 5, "delay": 1}, "debounce"),
        ({"debounce": 5, "dedupe_until": "end"}, "debounce"),
        ({"debounce_max": 5}, "debounce"),
    ],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], names: str):
    with pytest.raises(TaskDeclarationError, match=names):
        add.using(**options)


def test_what_the_database_does_not_see_is_said(clock: Clock, monkeypatch: Any):
    monkeypatch.setattr(store(), "take_keys", lambda keys, now: 0, raising=False)
    with pytest.raises(transaction.TransactionManagementError, match="READ COMMITTED"):
        trigger()
