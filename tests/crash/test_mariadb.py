"""What only MariaDB does to its clients: it turns read-only, and its lock waits end in seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import DatabaseError

from openqueue.models import Outbox, Run
from tests.app.crash_tasks import gated, quick
from tests.crash.stage import Gates, Stage, settled
from tests.servers.mariadb import MariaDB
from tests.store.test_claim import elsewhere

pytestmark = [pytest.mark.crash, pytest.mark.mariadb]


@pytest.fixture
def set_globally(mariadb: MariaDB) -> Iterator[object]:
    """Change a variable of the server until the test ends."""
    before: dict[str, object] = {}

    def set_globally(name: str, value: int) -> None:
        before.setdefault(name, mariadb.ask(f"SELECT @@GLOBAL.{name}")[0][0])
        mariadb.ask(f"SET GLOBAL {name} = {value}")

    yield set_globally
    for name, value in before.items():
        mariadb.ask(f"SET GLOBAL {name} = {value}")


def test_a_server_that_turns_read_only_refuses_triggers_and_costs_no_run(
    stage: Stage, gates: Gates, set_globally
):
    run = gated.trigger()
    worker = stage.worker()
    gates.wait_inside(run)
    set_globally("read_only", 1)
    with pytest.raises(DatabaseError, match="read-only"):
        quick.trigger()
    gates.open()
    gates.wait_ended(run)
    assert Run.objects.get(pk=run.id).status == "running"
    set_globally("read_only", 0)
    row = settled(run)
    assert (row.attempt, row.crash_count) == (1, 0)
    assert settled(quick.trigger()).attempt == 1
    assert worker.process.poll() is None


def test_while_a_run_is_locked_by_somebody_else_the_others_flow(stage: Stage, gates: Gates, set_globally):
    set_globally("innodb_lock_wait_timeout", 1)
    locked, *others = [quick.trigger() for _ in range(4)]
    with elsewhere(lambda: list(Run.objects.select_for_update().filter(pk=locked.id))):
        stage.worker()
        for run in others:
            assert settled(run).attempt == 1
        assert Outbox.objects.get().run_id == locked.id
    row = settled(locked)
    assert (row.attempt, row.crash_count) == (1, 0)
    assert gates.starts(locked) == [1]
