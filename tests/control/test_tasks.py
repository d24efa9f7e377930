from __future__ import annotations

import pytest
from django.db import transaction

from openqueue.control import tasks
from openqueue.control.actor import Actor
from openqueue.errors import PayloadInvalid, UnknownTask
from openqueue.models import AuditLog, Run

ADA = Actor(name="ada")


@pytest.mark.django_db
def test_a_trigger_by_id_is_on_record_with_who_asked():
    run = tasks.trigger("app.add", {"a": 1, "b": 2}, actor=ADA, queue="email", delay=60)
    row = Run.objects.get()
    assert (row.pk, row.queue, row.status) == (run.id, "email", "scheduled")
    audit = AuditLog.objects.get()
    assert (audit.actor, audit.act, audit.object) == ("ada", "run.trigger", f"run {run.id}")
    assert audit.after == {"task_id": "app.add", "queue": "email"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("task_id", "payload", "error"),
    [("app.subtract", {}, UnknownTask), ("app.add", {"a": 1}, PayloadInvalid)],
)
def test_what_is_refused_leaves_neither_run_nor_record(task_id, payload, error):
    with pytest.raises(error):
        tasks.trigger(task_id, payload, actor=ADA)
    assert not Run.objects.exists()
    assert not AuditLog.objects.exists()


@pytest.mark.django_db
def test_a_trigger_vanishes_with_its_record_when_the_caller_rolls_back():
    with transaction.atomic():
        tasks.trigger("app.add", {"a": 1, "b": 2}, actor=ADA)
        transaction.set_rollback(True)
    assert not Run.objects.exists()
    assert not AuditLog.objects.exists()


@pytest.mark.parametrize("meant", ["add", "other.add", "app.ad", "app.addd"])
def test_ids_that_may_have_been_meant_are_suggested(meant):
    assert tasks.similar(meant)[0] == "app.add"


def test_nothing_is_suggested_for_what_is_like_nothing():
    assert tasks.similar("zzzzzzzz") == []
