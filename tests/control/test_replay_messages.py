"""Replays by the messages that a broker keeps; a runtime of the test's own stands for the broker's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from openqueue import runtimes
from openqueue.control import replay
from openqueue.control.actor import Actor
from openqueue.control.replay import Report, Wanted
from openqueue.control.replay.wanted import Stretch
from openqueue.errors import UnsupportedCapability
from openqueue.models import Run, RuntimeOffset
from openqueue.runtimes.base import Capabilities, Kept, Message
from openqueue.runtimes.memory import MemoryRuntime
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db
LOG = Stretch(runtime="log", queue="default")


class LogRuntime(MemoryRuntime):
    """Two partitions, whose first offset is 10."""

    capabilities = Capabilities(replay=True, priorities="native")

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.logs: dict[int, list[bytes]] = {0: [], 1: []}
        self.asked: dict[str, Any] = {}

    def keep(self, run: UUID, *, partition: int = 0, seq: int = 1) -> None:
        message = Message(run, seq, "app.add", "default")
        self.logs[partition].append(message.encode(namespace="openqueue"))

    def stretch(self, queue: str, *, since: datetime | None = None, until: datetime | None = None) -> Mapping:
        self.asked = {"queue": queue, "since": since, "until": until}
        return {partition: (10, 10 + len(kept)) for partition, kept in self.logs.items()}

    def reread(self, queue: str, *, partition: int, offset: int, until: int, limit: int) -> Sequence[Kept]:
        kept = [Kept(10 + n, body) for n, body in enumerate(self.logs[partition])]
        return [one for one in kept if offset <= one.offset < until][:limit]


@pytest.fixture
def log(settings: Any) -> LogRuntime:
    entry = {"BACKEND": f"{__name__}.LogRuntime"}
    settings.OPENQUEUE = {"RUNTIMES": {"log": entry}}
    runtime = runtimes.get("log")
    assert isinstance(runtime, LogRuntime)
    return runtime


def execute(*, stretch: Stretch = LOG, told: Any = lambda *_: None, **more: Any) -> Report:
    return replay.execute(
        Wanted(stretch=stretch, **more), actor=Actor(name="ada"), reason="agreed", told=told
    )


def repeated() -> list[UUID]:
    return list(
        Run.objects.filter(replay_of__isnull=False).order_by("pk").values_list("replay_of", flat=True)
    )


def left(report: Report) -> dict[str, int]:
    return {one.reason: one.count for one in report.left}


def test_the_runs_of_all_partitions_are_repeated_and_each_has_a_place_of_its_own(log):
    first, second = make_run(status="failed"), make_run(status="completed")
    log.keep(first, partition=1)
    log.keep(second, partition=0)
    report = execute()
    assert (report.count, report.finished) == (2, True)
    assert repeated() == [second, first]
    places = RuntimeOffset.objects.order_by("source").values_list("source", "position", "until")
    assert list(places) == [("log/default/0", "11", "11"), ("log/default/1", "11", "11")]


def test_what_a_message_cannot_give_is_counted_with_its_place(log):
    log.keep(uuid4())
    log.logs[0].append(b"not ours")
    waiting = make_run()
    log.keep(waiting)
    report = replay.rehearse(Wanted(stretch=LOG))
    assert left(report) == {"gone": 1, "no_announcement": 1, "unfinished": 1}
    examples = {one.reason: one.examples[0][0] for one in report.left}
    assert (examples["gone"], examples["no_announcement"]) == ("log/default/0@10", "log/default/0@11")


@pytest.mark.parametrize("again", [False, True])
def test_a_run_of_many_messages_is_repeated_once_whatever_the_pages(log, monkeypatch, again):
    run = make_run(status="failed")
    for partition in (0, 0, 0, 1):
        log.keep(run, partition=partition)
    for most in (1, 50):
        monkeypatch.setattr("openqueue.control.replay.messages.MOST", most)
        told = replay.rehearse(Wanted(stretch=LOG, again=True))
        assert (told.count, left(told)) == (1, {"repeated": 3})
    report = execute(again=again)
    assert (report.count, left(report), repeated()) == (1, {"repeated": 3}, [run])


def test_offsets_and_conditions_narrow_it(log):
    runs = [make_run(status=status) for status in ("failed", "completed", "failed", "failed")]
    for run in runs:
        log.keep(run)
    log.keep(make_run(status="failed"), partition=1)
    stretch = Stretch(runtime="log", queue="default", partition=0, first=11, until=13)
    execute(stretch=stretch, statuses=["failed"])
    assert repeated() == [runs[2]]
    moment = datetime.fromisoformat("2026-03-01T09:00+00:00")
    execute(since=moment)
    assert log.asked["since"] == moment


def test_interrupted_in_one_partition_it_goes_on_there_and_ends_where_it_was_to_end(log, monkeypatch):
    monkeypatch.setattr("openqueue.control.replay.messages.MOST", 1)
    runs = [make_run(status="failed") for _ in range(4)]
    for partition, run in zip((0, 0, 1, 1), runs, strict=True):
        log.keep(run, partition=partition)

    def interrupted(*_: Any) -> None:
        if len(repeated()) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(told=interrupted)
    late = make_run(status="failed")
    log.keep(late)
    report = execute()
    assert (report.count, report.continued is not None) == (4, True)
    assert sorted(repeated()) == sorted(runs)


def test_a_runtime_that_keeps_nothing_is_refused_plainly(log):
    with pytest.raises(UnsupportedCapability, match="keeps no message"):
        execute(stretch=Stretch(runtime="default", queue="default"))
    with pytest.raises(UnsupportedCapability, match="no partition 7 on 'log': it has 0, 1"):
        execute(stretch=Stretch(runtime="log", queue="default", partition=7))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--partition", 1], "name it with --runtime"),
        (["--runtime", "log"], "exactly one --queue"),
        (["--runtime", "log", "--queue", "a", "--from-offset", 1], "name it with --partition"),
        (["--runtime", "log", "--queue", "a", "--partition", -1], "0 or more"),
        (["--runtime", "nowhere", "--queue", "a"], "has no 'nowhere'"),
    ],
)
def test_the_command_says_what_goes_together(log, manage, words, said):
    assert said in manage("openqueue_replay", *words).error


def test_the_command_reads_a_stretch(log, manage):
    run = make_run(status="failed")
    log.keep(run)
    words = [
        "--runtime",
        "log",
        "--queue",
        "default",
        "--partition",
        0,
        "--from-offset",
        10,
        "--to-offset",
        11,
    ]
    accept = ["--execute", "--accept-side-effects", "agreed"]
    assert "1 new runs made." in manage("openqueue_replay", *words, *accept).out
    assert repeated() == [run]
