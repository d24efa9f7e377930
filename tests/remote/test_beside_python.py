"""Workers in shell, Node and Python on one queue: each kind killed, every run ends once, attempts charged right."""

from __future__ import annotations

import pytest

from openqueue import trigger
from openqueue.models import Claim, Outbox, Run, Worker
from tests.app.crash_tasks import gated
from tests.crash.stage import RECOVERY, Gates, kinds, settled
from tests.remote.fleet import QUEUE, Fleet

pytestmark = [pytest.mark.crash, pytest.mark.sqlite_too, pytest.mark.mariadb_too]


def test_each_kind_is_killed_in_the_middle_of_a_body_and_every_run_ends_once(fleet: Fleet, gates: Gates):
    fleet.serve()
    workers = {"mixed.shell": fleet.shell(), "mixed.node": fleet.node(), "python": fleet.python()}
    runs = {
        "mixed.shell": trigger("mixed.shell", {}),
        "mixed.node": trigger("mixed.node", {}),
        "python": gated.using(queue=QUEUE).trigger(),
    }
    for run in runs.values():
        gates.wait_inside(run)
    for worker in workers.values():
        worker.kill()
    gates.open()
    fleet.shell(), fleet.node(), fleet.python()
    for name, run in runs.items():
        row = settled(run, within=RECOVERY + 15)
        assert (row.attempt, row.crash_count, row.result["attempt"]) == (2, 1, 2), name
        assert gates.starts(run) == [1, 2]
        assert kinds(run) == ["triggered", "started", "worker_lost", "started", "completed"]
    assert {row.result.get("by") for row in Run.objects.all()} == {"sh", "node", None}
    assert not Claim.objects.exists()
    assert not Outbox.objects.exists()
    assert sorted(Worker.objects.filter(state="running").values_list("language", flat=True)) == [
        "node", "python", "sh",
    ]  # fmt: skip
