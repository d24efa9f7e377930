"""Triggering: with the transaction or not at all, and refused before anything is written."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone

from openqueue import TriggerNotAtomic, orders
from openqueue.ids import uuid7
from openqueue.models import Outbox, Run, RunEvent
from tests.app.models import Note
from tests.app.tasks import add

pytestmark = pytest.mark.django_db


def written() -> tuple[int, int, int]:
    return Run.objects.count(), RunEvent.objects.count(), Outbox.objects.count()


# --- transactions -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_run_commits_with_the_block_around_it():
    with transaction.atomic():
        add.trigger(1, 2)
        Note.objects.create(text="with it")
    assert written() == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_run_vanishes_with_the_block_around_it():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        add.trigger(1, 2)
        raise ZeroDivisionError
    assert written() == (0, 0, 0)


def test_a_run_vanishes_with_its_savepoint_alone():
    with transaction.atomic():
        kept = add.trigger(1, 2)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            add.trigger(3, 4)
            raise ZeroDivisionError
    assert [run.pk for run in Run.objects.all()] == [kept.id]
    assert written() == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_run_triggered_outside_of_a_block_stands_at_once():
    run = add.trigger(1, 2)
    assert run.refresh().status == "queued"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_block_of_another_database_is_refused_because_it_could_not_take_the_run_with_it():
    with transaction.atomic(using="other"), pytest.raises(TriggerNotAtomic, match="using='other'"):
        add.trigger(1, 2)
    assert written() == (0, 0, 0)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_block_of_both_databases_is_as_atomic_as_it_gets():
    with transaction.atomic(using="other"), transaction.atomic():
        add.trigger(1, 2)
    assert written() == (1, 1, 1)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_who_says_so_may_trigger_beside_the_block_of_another_database():
    with pytest.raises(ZeroDivisionError), transaction.atomic(using="other"):
        add.using(atomic=False).trigger(1, 2)
        raise ZeroDivisionError
    assert written() == (1, 1, 1)


def failing(request: HttpRequest) -> HttpResponse:
    add.trigger(1, 2)
    raise ZeroDivisionError


def answering(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(add.trigger(1, 2).id))


urlpatterns = [path("failing/", failing), path("answering/", answering)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls(__name__)
def test_a_view_that_raises_under_atomic_requests_triggers_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    client = Client(raise_request_exception=False)
    assert client.get("/failing/").status_code == 500
    assert written() == (0, 0, 0)
    assert client.get("/answering/").content.decode() == str(Run.objects.get().pk)


@pytest.mark.django_db(transaction=True)
def test_an_async_trigger_commits_by_itself():
    async def both() -> list[Any]:
        try:
            one = await add.atrigger(1, 2)
            return [one, *await add.atrigger_many([{"a": 1, "b": 2}])]
        finally:
            await sync_to_async(connections.close_all)()

    runs = asyncio.run(both())
    assert sorted(run.id for run in runs) == sorted(Run.objects.values_list("pk", flat=True))


def test_instants_are_the_same_without_time_zones(process_environment, tmp_path):
    script = """
import django
from datetime import datetime, timedelta, UTC
django.setup()
from django.test.utils import override_settings
from tests.app.tasks import add
from openqueue.models import Run, Outbox
from tests.store.fleet import FakeWorker, Clock
import zoneinfo
naive = datetime(2031, 7, 1, 12, 0)
with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
    run = add.using(run_at=naive).trigger(1, 2)
    row = Run.objects.get(pk=run.id)
    assert row.scheduled_for == datetime(2031, 7, 1, 10, 0, tzinfo=UTC), row.scheduled_for
    assert abs(row.created_at - datetime.now(UTC)) < timedelta(seconds=60), row.created_at
    assert Outbox.objects.filter(due_at=datetime(2031, 7, 1, 10, 0, tzinfo=UTC)).exists()
    assert Outbox.objects.filter(due_at__lt=datetime(2031, 7, 1, 10, 1, tzinfo=UTC)).exists()
    now = add.trigger(3, 4)
    row = Run.objects.get(pk=now.id)
    assert abs(row.created_at - datetime.now(UTC)) < timedelta(seconds=60), row.created_at
    clock = Clock(); clock.now = datetime.now(UTC) + timedelta(seconds=1)
    (attempt,) = FakeWorker(clock, known=[add.id]).claim()
    assert attempt.run_id == now.id
print("the same")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=process_environment(PYTHONPATH=os.pathsep.join(sys.path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "the same\n", done.stderr


# --- when ---------------------------------------------------------------------------------------------------------


def test_a_delayed_run_is_scheduled():
    run = add.using(delay=timedelta(minutes=1)).trigger(1, 2)
    row, place = Run.objects.get(), Outbox.objects.get()
    assert (run.status, row.status, place.ready) == ("scheduled", "scheduled", False)
    assert row.scheduled_for - row.created_at == timedelta(minutes=1)
    assert place.due_at == row.scheduled_for


@pytest.mark.parametrize(
    "when",
    [
        {"run_at": datetime(2001, 1, 1, tzinfo=UTC)},
        {"run_at": datetime(2001, 1, 1)},  # noqa: DTZ001  # naive on purpose
        {"delay": -5},
        {"delay": 0},
    ],
)
def test_the_past_means_now(when: dict[str, Any], django_capture_on_commit_callbacks: Any):
    with django_capture_on_commit_callbacks() as announced:
        run = add.using(**when).trigger(1, 2)
    row, place = Run.objects.get(), Outbox.objects.get()
    assert (run.status, row.status, place.ready) == ("queued", "queued", True)
    assert place.due_at == row.created_at
    assert len(announced) == 1, "it is due, so it is announced on commit"


def test_a_delayed_run_is_not_announced_on_commit(django_capture_on_commit_callbacks: Any):
    with django_capture_on_commit_callbacks() as announced:
        add.using(delay=5).trigger(1, 2)
    assert announced == []


def test_a_far_future_is_kept():
    far = datetime(9998, 12, 31, 23, 59, tzinfo=UTC)
    add.using(run_at=far).trigger(1, 2)
    assert Run.objects.get().scheduled_for == far


def test_a_naive_moment_is_read_in_the_project_s_zone(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    timezone.deactivate()
    add.using(run_at=datetime(2031, 7, 1, 12)).trigger(1, 2)  # noqa: DTZ001  # naive on purpose
    assert Run.objects.get().scheduled_for == datetime(2031, 7, 1, 10, tzinfo=UTC)


def test_a_time_to_live_counts_from_the_due_time():
    add.using(delay=10, ttl=5).trigger(1, 2)
    row, place = Run.objects.get(), Outbox.objects.get()
    assert row.expires_at == place.expires_at == row.scheduled_for + timedelta(seconds=5)


def test_of_delay_and_run_at_the_newer_stands():
    order = add.using(delay=10).using(run_at=datetime(2031, 1, 1, tzinfo=UTC))
    assert order.options.delay is None
    assert order.using(delay=3).options.run_at is None


@pytest.mark.django_db(transaction=True)
def test_a_trigger_that_failed_half_way_cannot_be_committed(monkeypatch: pytest.MonkeyPatch):
    now = datetime.now(UTC)
    stale = Outbox.objects.create(
        run_id=uuid7(), seq=1, attempt=1, task_id=add.id, runtime="default", queue="default", priority=0,
        due_at=now, announce_at=now, ready=False,
    )  # fmt: skip
    monkeypatch.setattr(orders, "uuid7", lambda: stale.run_id)
    with transaction.atomic(), suppress(IntegrityError):
        add.trigger(1, b=2)
    assert not Run.objects.exists()
    assert not RunEvent.objects.exists()
