"""When a worker counts as overloaded."""

from __future__ import annotations

import logging

import pytest

from openqueue.processes.worker.lag import LATE, MOST, Lag


def test_a_little_late_is_as_usual():
    lag = Lag()
    lag.note(LATE * 0.9, after=1)
    assert lag.slots(10) == 10


def test_the_later_the_fewer_and_never_none():
    lag = Lag()
    lag.note(LATE * 1.1, after=1)
    little = lag.slots(100)
    lag.note(MOST, after=1)
    assert 1 <= lag.slots(100) < little < 100
    assert lag.slots(1) == 1


def test_it_is_said_once_and_once_more_when_it_is_over(caplog: pytest.LogCaptureFixture):
    lag = Lag()
    with caplog.at_level(logging.WARNING, "openqueue"):
        for late in (0.0, 9.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0):
            lag.note(late, after=1)
    assert [record.message[:20] for record in caplog.records] == [
        "overloaded: threads ",
        "no longer overloaded",
    ]
    assert lag.slots(10) == 10


def test_one_late_moment_is_forgotten_within_seconds_also_after_a_freeze_of_hours():
    lag = Lag()
    lag.note(10_000.0, after=1)
    for _ in range(5):
        assert lag.is_overloaded
        lag.note(0.0, after=0.9)
    assert not lag.is_overloaded


@pytest.mark.parametrize("after", [0.05, 0.8])
def test_how_often_it_is_asked_does_not_matter(after: float):
    lag = Lag()
    lag.note(2.0, after=1)
    for _ in range(round(1.6 / after)):
        lag.note(0.0, after=after)
    assert lag.seconds == pytest.approx(2.0 * 0.5**1.6, rel=0.01)
