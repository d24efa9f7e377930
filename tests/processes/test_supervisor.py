"""The supervisor's own decisions, with children of a line or two."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections

from openqueue.conf import config
from openqueue.models import Worker
from openqueue.processes.pulse import Condition, Pulse
from openqueue.processes.supervisor import place, supervisor
from openqueue.processes.supervisor.child import Child
from openqueue.processes.supervisor.place import Place
from openqueue.processes.supervisor.supervisor import FAILED_STARTS, Supervisor
from openqueue.processes.supervisor.undertaker import Undertaker
from openqueue.store import store
from openqueue.types import Incarnation
from tests.eventually import eventually

pytestmark = pytest.mark.once
WELL = """
import json, os, socket, sys, time
end = socket.socket(fileno=int(os.environ["OPENQUEUE_TETHER"].partition("@")[0]))
say = lambda **facts: end.sendall(json.dumps(facts).encode() + b"\\n")
say(sure=True, busy=1, slots=2, note="", stalled=False)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK", 0.02)
    monkeypatch.setattr(place, "SHORTEST", 0.01)


@contextmanager
def supervising(code: str, **options: Any) -> Iterator[Any]:
    """A supervisor in this process; its value is the supervisor, whose run has ended afterwards."""
    one: Any = Supervisor(python(code), environment=dict(os.environ), **{"processes": 2} | options)

    def run() -> None:
        try:
            one.ended = one.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield one
        thread.join(10)
        assert not thread.is_alive(), "the supervisor did not end"
    finally:
        one.hear(15)  # so that nobody follows those that are killed here
        for child in one.children:
            child.kill()
        thread.join(10)


def is_ready(supervisor: Supervisor) -> bool:
    return any(child.is_ready for child in supervisor.children)


def test_workers_that_never_come_up_end_it_with_an_exit_code(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR, "openqueue"), supervising("raise SystemExit(3)", processes=1) as one:
        pass
    assert one.ended == 1
    died = [record for record in caplog.records if record.message.startswith("a worker died")]
    assert [record.code for record in died] == [3] * FAILED_STARTS
    assert caplog.records[-1].message.startswith("no worker comes up")


def test_while_one_is_well_the_other_is_tried_for_ever(tmp_path: Path):
    mark = tmp_path / "first"
    code = f"""
import pathlib, time
try:
    pathlib.Path({str(mark)!r}).touch(exist_ok=False)
except FileExistsError:
    raise SystemExit(3)
{WELL}
time.sleep(60)
"""
    with supervising(code) as one:
        eventually(lambda: max(p.failed_starts for p in one.places) > FAILED_STARTS)
        assert one.condition() == Condition(sure=True, busy=1, slots=2, note="1 of 2 workers not ready")
        one.hear(15)
    assert one.ended == 0


def test_while_code_is_edited_it_does_not_give_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervisor, "EDITING", 0.01)
    with supervising("raise SystemExit(1)", processes=1, reloads=True) as one:
        eventually(lambda: one.places[0].failed_starts > FAILED_STARTS + 1)
        one.hear(15)
    assert one.ended == 0


def test_one_that_asks_for_a_fresh_process_gets_it_at_once_and_is_not_mourned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    code = f"""
import pathlib, time
folder = pathlib.Path({str(tmp_path)!r})
number = len(list(folder.iterdir()))
(folder / str(number)).touch()
if number < 8:
    raise SystemExit(75)
{WELL}
time.sleep(60)
"""
    with supervising(code, processes=1) as one:
        eventually(lambda: is_ready(one))
        assert not [record for record in caplog.records if "died" in record.message]
        one.hear(15)
    assert one.ended == 0


def test_without_order_the_next_one_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(place, "SHORTEST", 0.25)
    one, waits = Place(), []
    for _ in range(10):
        child = Child(python(WELL), dict(os.environ))
        eventually(lambda child=child: child.died() is not None)
        one.fill(child)
        waits.append(one.vacate(mourned=True))
    assert waits == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert not one.is_due


def test_one_that_says_nothing_any_more_is_killed_and_replaced():
    with supervising(WELL + "time.sleep(60)", processes=1) as one:
        eventually(lambda: is_ready(one))
        (first,) = one.children
        one.silence = 0.2
        eventually(lambda: first not in one.children and is_ready(one))
        one.silence = 60
        one.hear(15)
    assert one.ended == 0


def test_a_supervisor_that_was_frozen_itself_calls_nobody_silent():
    with supervising(WELL + "time.sleep(60)", processes=1) as one:
        eventually(lambda: is_ready(one))
        (child,) = one.children
        child.heard_at -= 3_600
        one.looked_at -= 3_600
        eventually(lambda: child.silence < 60)
        assert child.died() is None
        one.hear(15)


def test_one_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch, settings: Any):
    monkeypatch.setattr(supervisor, "MARGIN", 0.1)
    settings.OPENQUEUE = {"SHUTDOWN_GRACE": 0.2}
    deaf = (
        WELL
        + "import signal\nsignal.signal(15, signal.SIG_IGN)\nsay(busy=0, slots=2, sure=True)\ntime.sleep(60)"
    )
    with supervising(deaf, processes=1) as one:
        eventually(lambda: [child.condition for child in one.children] == [Condition(sure=True, slots=2)])
        one.hear(15)
    assert one.ended == 0


def test_those_that_are_through_are_not_followed():
    with supervising(WELL + "say(through=True)") as one:
        pass
    assert one.ended == 0


def test_an_exit_without_a_word_is_not_the_end_of_a_place(tmp_path: Path):
    code = f"""
import pathlib, time
{WELL}
mark = pathlib.Path({str(tmp_path / "mark")!r})
if mark.exists():
    say(through=True)
mark.touch()
"""
    with supervising(code, processes=1) as one:
        pass
    assert one.places[0].is_through


def test_its_children_hear_nothing_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.setenv(name, "1")
    code = f"""
import os, pathlib
{WELL}
found = [name for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID") if name in os.environ]
pathlib.Path({str(tmp_path / "found")!r}).write_text(repr(found))
say(through=True)
"""
    with supervising(code, processes=1, pulse=Pulse()):
        pass
    assert (tmp_path / "found").read_text() == "[]"


def test_one_that_was_stopped_alone_is_followed_and_not_mourned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    mark = tmp_path / "first"
    code = f"""
import pathlib
{WELL}
mark = pathlib.Path({str(mark)!r})
say(through=mark.exists())
mark.touch()
"""
    with supervising(code, processes=1) as one:
        pass
    assert one.ended == 0
    assert not [record for record in caplog.records if "died" in record.message]


def test_a_worker_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervisor, "ASLEEP", 0.01)
    one = Supervisor(["/nowhere/to/be/found"], environment={}, processes=1)
    for _ in range(2):
        assert one.step()
        assert one.children == []
        eventually(lambda: one.places[0].is_due)


def test_orphans_are_reaped_where_it_is_the_first_process():
    orphan = os.posix_spawn(sys.executable, python("pass"), os.environ)
    one = Supervisor(python(WELL + "time.sleep(60)"), environment=dict(os.environ), processes=1)
    one.step()
    try:
        eventually(lambda: one.reap_strangers() or gone(orphan))
        assert one.children[0].died() is None
    finally:
        one.children[0].kill()
        eventually(lambda: one.children[0].died() is not None)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def incarnation(worker_id: UUID) -> Incarnation:
    return Incarnation(id=worker_id, host="web-1", pid=1, version="0", runtimes=[], queues=[], slots=1)


@pytest.mark.django_db(transaction=True)
def test_only_the_dead_one_is_buried_of_two_with_the_same_host_and_process_id():
    dead, alive = uuid4(), uuid4()
    for one in (dead, alive):
        store().register(incarnation(one), lease=config.lease)
    undertaker = Undertaker()
    undertaker.hear([dead])
    undertaker.step()
    assert undertaker.idle
    assert dict(Worker.objects.values_list("pk", "state")) == {dead: "lost", alive: "running"}


@pytest.mark.django_db(transaction=True)
def test_a_registration_whose_answer_was_lost_may_be_sent_again():
    worker = uuid4()
    for _ in range(2):
        store().register(incarnation(worker), lease=config.lease)
    assert Worker.objects.count() == 1
