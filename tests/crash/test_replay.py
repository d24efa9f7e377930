"""A replay that is killed anywhere, again and again: every past run is repeated once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError, connections

from openqueue.control import replay
from openqueue.control.actor import Actor
from openqueue.control.replay import Wanted, making
from openqueue.core import post_commit
from openqueue.models import AuditLog, Outbox, Run, RunEvent, RuntimeOffset
from tests.app.crash_tasks import quick
from tests.control.builders import make_run
from tests.crash.driver import Driver, PowerCut
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage, settled
from tests.crash.waiting import somebody_waits
from tests.eventually import eventually

pytestmark = [pytest.mark.crash, pytest.mark.sqlite_too]

WANTED = Wanted(queues=["default"], statuses=["failed"])
OVERLAPPING = Wanted(tasks=["app.quick"])


def repeated() -> Counter[Any]:
    """Return how many new runs each past one has."""
    return Counter(Run.objects.filter(replay_of__isnull=False).values_list("replay_of", flat=True))


SAME = ["--queue", "default", "--status", "failed"]


def command(stage: Stage, *more: str, which: Sequence[str] = SAME) -> subprocess.Popen[str]:
    words = ["openqueue_replay", *which, "--execute", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "django", *words, "--accept-side-effects", "a test"],
        env=stage.surroundings(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.mariadb_too
def test_killed_in_the_middle_it_goes_on_where_it_stopped_and_makes_nothing_twice(stage: Stage, gates: Gates):
    past = [make_run(task=quick, payload={}, status="failed") for _ in range(60)]
    gates.open()
    stage.worker()
    for _ in range(3):
        before = repeated().total()
        process = command(stage, "--rate", "10/s")
        eventually(lambda before=before: repeated().total() > before, within=30)
        process.kill()
        process.communicate()
    assert 0 < repeated().total() < 60
    said, _ = command(stage).communicate(timeout=60)
    assert "60 new runs made." in said, said
    assert "interrupted" in said, said
    assert repeated() == Counter(past)
    for new in Run.objects.filter(replay_of__isnull=False):
        assert settled(new).attempt == 1
    check(gates, expected=past)


@pytest.mark.mariadb_too
@pytest.mark.parametrize("other", [SAME, ["--task", "app.quick"]], ids=["the same", "another that overlaps"])
def test_two_at_once_repeat_every_run_once(stage: Stage, other: list[str]):
    past = [make_run(task=quick, payload={}, status="failed") for _ in range(50)]
    both = [command(stage, "--rate", "25/s", which=which) for which in (SAME, other)]
    for process in both:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert repeated() == Counter(past)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[None]:
    """No thread that announces: it would use the database besides."""
    monkeypatch.setattr(post_commit, "put", lambda *_: None)
    yield
    connections.close_all()


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("error", [OperationalError, PowerCut])
@pytest.mark.parametrize("answered", [False, True])
def test_whichever_statement_fails_asked_for_again_it_repeats_every_run_once(
    error: type[BaseException], answered: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("openqueue.control.replay.pages.MOST", 2)
    for at in count(1):
        past = [make_run(task=quick, payload={}, status="failed") for _ in range(5)]
        driver = Driver(at=at, answered=answered, error=error)
        try:
            with driver.driving():
                execute()
        except (error, OperationalError):
            connections.close_all()
            execute()
        assert repeated() == Counter(past), f"call {at}: {driver.failed_at}"
        assert RunEvent.objects.filter(kind="replayed").count() == len(past)
        check(None)
        for model in (Outbox, RunEvent, Run, RuntimeOffset, AuditLog):
            model.objects.all()._raw_delete(model.objects.db)
        if driver.calls < at:  # it went through: there is no such statement
            break
    assert at > 20


@pytest.mark.postgresql
@pytest.mark.mariadb
@pytest.mark.usefixtures("silence")
def test_a_replay_waits_for_another_that_has_the_same_past_runs(monkeypatch: pytest.MonkeyPatch):
    past = [make_run(task=quick, payload={}, status="failed") for _ in range(5)]
    inside, go_on, make = threading.Event(), threading.Event(), making.make

    def slowly(*some: Any, **more: Any) -> Any:
        if threading.current_thread() is first:
            inside.set()
            assert go_on.wait(30)
        return make(*some, **more)

    def work(wanted: Wanted) -> None:
        execute(wanted)
        connections.close_all()

    monkeypatch.setattr("openqueue.control.replay.replay.make", slowly)
    first, second = (threading.Thread(target=work, args=[one]) for one in (WANTED, OVERLAPPING))
    first.start()
    assert inside.wait(30)
    second.start()
    eventually(lambda: somebody_waits() or not second.is_alive())
    go_on.set()
    for thread in (first, second):
        thread.join()
    assert repeated() == Counter(past)


def execute(wanted: Wanted = WANTED) -> None:
    assert replay.execute(wanted, actor=Actor(name="ada"), reason="a test").finished
