"""kill -9 at each point of an attempt's life."""

from __future__ import annotations

import pytest

from openqueue.models import Claim
from tests.app.crash_tasks import deadly, gated, quick
from tests.crash.stage import RECOVERY, Gates, Stage, kinds, late_results, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.crash


@pytest.mark.sqlite_too
def test_killed_in_the_middle_of_a_body_the_run_begins_again_and_ends_once(stage: Stage, gates: Gates):
    run = gated.trigger()
    first = stage.worker()
    gates.wait_inside(run)
    first.kill()
    gates.open()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count, row.result["attempt"]) == (2, 1, 2)
    assert gates.starts(run) == [1, 2]
    assert kinds(run) == ["triggered", "started", "worker_lost", "started", "completed"]
