"""What a body prints is kept with its run, and still shown."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from openqueue import TaskContext
from openqueue.context import STDERR, STDOUT, current
from openqueue.models import RunEvent, RunLog
from tests.processes import isolated

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]


def kept(run: Any) -> list[tuple[int, str]]:
    return list(RunLog.objects.filter(run_id=run.id).order_by("id").values_list("level", "text"))


def test_prints_of_a_thread_are_kept_as_lines_and_shown(declare: Declare, drain: Any, capfd: Any):
    @declare
    def talk() -> None:
        print("one", 2)
        print("three\nfour", end="")
        print(" and a half")
        print("trouble", file=sys.stderr)
        sys.stdout.write("no end")

    run = talk.trigger()
    print("not in a body")
    drain()
    assert kept(run) == [
        (STDOUT, "one 2"),
        (STDOUT, "three"),
        (STDOUT, "four and a half"),
        (STDERR, "trouble"),
        (STDOUT, "no end"),
    ]
    shown = capfd.readouterr()
    assert "three\nfour and a half\nno end" in shown.out
    assert "trouble\n" in shown.err


def test_prints_of_coroutines_go_to_their_own_runs(declare: Declare, drain: Any):
    @declare
    async def talk(name: str) -> None:
        for n in range(3):
            sys.stdout.write(f"{name} ")
            await asyncio.sleep(0)
            print(n)

    first, second = talk.trigger("a"), talk.trigger("b")
    drain()
    assert [text for _, text in kept(first)] == ["a 0", "a 1", "a 2"]
    assert [text for _, text in kept(second)] == ["b 0", "b 1", "b 2"]


@pytest.mark.usefixtures("isolated_tasks")
def test_prints_logs_and_progress_of_a_child_are_kept_and_shown(drain: Any, capfd: Any):
    run = isolated.talk.trigger()
    drain(slots=1)
    assert run.refresh().status == "completed", run.error
    assert kept(run) == [
        (STDOUT, "printed"),
        (STDERR, "to stderr"),
        (30, "logged"),
        (20, "by another logger"),
        (STDOUT, "no end"),
    ]
    assert "printed\nno end" in capfd.readouterr().out
    newest = RunEvent.objects.filter(run_id=run.id, kind="progress").latest("id")
    assert newest.data == {"percent": 100, "message": "all"}


def test_a_flood_is_bounded(declare: Declare, drain: Any, monkeypatch: Any):
    monkeypatch.setattr(sys, "stdout", Sink())

    @declare
    def flood(ctx: TaskContext) -> None:
        for _ in range(5):
            print("x" * 10_000_000)
        for n in range(100_000):
            print(n)
        for _ in range(100_000):
            print(".", end="")

    run = flood.trigger()
    drain()
    lines = kept(run)
    assert len(lines) == 1_001
    assert lines[-1][1] == "more than 1000 lines: the rest was left out"
    assert max(len(text.encode()) for _, text in lines) <= 8_192
    assert sys.stdout.size > 50_000_000, "it is still shown"


class Sink(io.StringIO):
    size = 0

    def write(self, text: str) -> int:
        self.size += len(text)
        return len(text)


def test_of_a_progress_bar_the_last_state_is_kept(declare: Declare, drain: Any):
    @declare
    def bar() -> None:
        for percent in range(0, 101, 10):
            print(f"\r{percent:3} %", end="", file=sys.stderr)
        print(file=sys.stderr)
        for percent in (50, 100):
            print(f"{percent} %", end="\r")

    run = bar.trigger()
    drain()
    assert kept(run) == [(STDERR, "100 %"), (STDOUT, "100 %")]


def test_whoever_looks_below_the_stream_finds_the_stream(declare: Declare, drain: Any, capfd: Any):
    seen: dict[str, Any] = {}

    @declare
    def look() -> None:
        sys.stdout.flush()
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.buffer.flush()
        seen["fileno"] = sys.stdout.fileno()
        seen["encoding"] = sys.stdout.encoding
        sys.stdout.writelines(["a\n", "b\n"])

    before = sys.stdout
    run = look.trigger()
    drain()
    assert seen == {"fileno": before.fileno(), "encoding": before.encoding}
    assert [text for _, text in kept(run)] == ["a", "b"]
    assert "bytes\n" in capfd.readouterr().out
    assert sys.stdout is before, "the worker gave it back"
    assert current.get() is None
