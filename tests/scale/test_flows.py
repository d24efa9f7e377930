"""A group of ten thousand and its one join: what is written, and what the join costs those before it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from openqueue import enqueue_flow, group
from openqueue.models import Flow, FlowEdge, Run, RunEvent
from tests.app.tasks import add
from tests.eventually import eventually
from tests.scale.drain import process

pytestmark = [pytest.mark.scale, pytest.mark.sqlite_too, pytest.mark.mariadb_too]
NODES = 10_000
LONGEST = 120.0
"""Seconds for all of it on a busy machine of two cores."""


@pytest.mark.django_db(transaction=True)
def test_a_group_of_ten_thousand_is_joined_once(process_environment: Callable[..., dict[str, str]]) -> None:
    began = time.monotonic()
    flow = group([add.bind(n, 1) for n in range(NODES)], then=add.bind(0, 0))
    with transaction.atomic(), CaptureQueriesContext(connection) as sent:
        handle = enqueue_flow(flow)
    written = time.monotonic() - began
    if connection.vendor != "sqlite":  # which takes few values in one statement
        # MariaDB's runs, events and places; nodes and edges: a statement a thousand each.
        assert len(sent) <= 5 * NODES / 1_000 + 10, len(sent)
    assert FlowEdge.objects.count() == NODES
    with process(process_environment(), "openqueue_worker", "-v", "0", "--concurrency", "4") as worker:
        eventually(lambda: Run.objects.exclude(status__in=["queued", "waiting"]).exists(), within=30)
        began = time.monotonic()
        eventually(lambda: Flow.objects.get(pk=handle.id).is_final, within=LONGEST, every=0.2)
        drained = time.monotonic() - began
        worker.terminate()
        assert worker.wait(30) == 0
    print(f"{len(sent)} statements, {written:.1f} s to write; {NODES / drained:.0f} nodes a second")
    row = handle.refresh().row
    assert (row.status, row.completed, row.waiting, row.active) == ("completed", NODES + 1, 0, 0)
    join = handle.nodes[f"add-{NODES + 1}"]
    last = RunEvent.objects.filter(kind="completed").exclude(run_id=join.id).latest("at")
    (released,) = RunEvent.objects.filter(run_id=join.id, kind="unblocked")
    assert released.at >= last.at
