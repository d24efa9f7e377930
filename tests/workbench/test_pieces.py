"""Long tables come in pieces, and nobody is left out on the way from one to the next."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from openqueue.models import QueueState, TaskDefinition
from openqueue.schedules import changes
from tests.app.tasks import add
from tests.control.builders import clock, make_run, make_worker
from tests.workbench.conftest import text, to

pytestmark = pytest.mark.django_db


def pieces(client, path: str, row: str) -> list[list[str]]:
    """Return what each piece shows, from the first to the last."""
    found = []
    while True:
        page = text(client.get(path))
        found.append(re.findall(row, page))
        more = re.search(r'href="([^"]+)" data-older', page)
        assert ("data-newer" in page) == (len(found) > 1)
        if more is None:
            return found
        path = unescape(more[1])


def test_many_queues_come_in_pieces_and_the_overview_shows_those_where_something_waits_for_longest(
    admin_client,
):
    names = [f"queue-{number:03}" for number in range(120)]
    QueueState.objects.bulk_create(QueueState(name=name) for name in names)
    for name, hours in (("queue-111", 2), ("queue-007", 1)):
        make_run(queue=name, at=clock() - timedelta(hours=hours))
    found = pieces(admin_client, to("queue"), r'id="oq-queue-default-(queue-\d+)"')
    assert [name for piece in found for name in piece] == names
    assert len(found) == 5
    page = text(admin_client.get(to("overview")))
    shown = re.findall(r'id="oq-queue-default-(queue-\d+)"', page)
    assert {"queue-111", "queue-007"} <= set(shown)
    assert len(shown) <= 20
    assert shown == sorted(shown)
    assert re.search(rf'<a href="{to("queue")}">All 1\d\d queues</a>', page)


def test_many_workers_come_in_pieces_under_the_numbers_of_all(admin_client):
    made = {str(make_worker()) for _ in range(60)}
    found = pieces(admin_client, to("worker"), r'id="oq-worker-([0-9a-f-]{36})"')
    assert [len(piece) for piece in found] == [30, 30]
    assert {name for piece in found for name in piece} == made
    assert "60 workers with 0 of " in text(admin_client.get(to("worker")))


def test_a_place_that_is_gone_leads_to_the_first_piece(admin_client):
    QueueState.objects.bulk_create(QueueState(name=f"queue-{number:03}") for number in range(60))
    assert "data-newer" not in text(admin_client.get(to("queue"), {"at": "default nowhere"}))


def test_schedules_of_tasks_in_other_languages_take_no_statement_each(admin_client, statements):
    for number in range(12):
        row, _ = changes.create(
            add, key=f"key-{number}", payload={"a": 1, "b": 2}, options={}, rule={"cron": "0 9 * * *"}
        )
        type(row).objects.filter(pk=row.pk).update(task_id=f"go.task_{number}")
    TaskDefinition.objects.all().delete()
    with statements() as sent:
        assert "go.task_11" in text(admin_client.get(to("schedule")))
    assert len([sql for sql in sent if "openqueue_taskdefinition" in sql]) == 1
    assert len(sent) <= 12
