from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone, translation

from openqueue.states import FlowStatus, Kind, Reason, Status, TickOutcome
from openqueue_workbench import wording

NOW = datetime(2026, 11, 27, 11, 36, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0, "0 s"),
        (-3, "0 s"),
        (0.0002, "under 1 ms"),
        (0.32, "320 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1.24, "1.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (3_599.7, "1 h"),
        (50_580, "14 h 3 min"),
        (86_399, "1 d"),
        (187_200, "2 d 4 h"),
        (100_000_000, "1,157 d 10 h"),
    ],
)
def test_a_duration_is_told_in_two_units_at_most(seconds, said):
    assert wording.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0204, "20 ms"),
        (2.1, "2.10 s"),
        (59.999, "1 min 0.00 s"),
        (185.25, "3 min 5.25 s"),
        (50_412.5, "14 h 0 min 12.50 s"),
        (86_400, "1 d 0 h 0 min 0.00 s"),
    ],
)
def test_an_exact_duration_keeps_hundredths(seconds, said):
    assert wording.duration(seconds, exact=True) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (48, "48 s ago"),
        (59.7, "1 min ago"),
        (750, "12 min ago"),
        (3_599, "1 h ago"),
        (50_000, "14 h ago"),
        (300_000, "3 d ago"),
        (-240, "in 4 min"),
    ],
)
def test_an_age_has_one_unit(seconds, said):
    assert wording.age(NOW - timedelta(seconds=seconds), now=NOW) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 0, "–"),
        (2, 5, "2 of 5"),
        (39, 1_240, "3.1 % of 1,240"),
        (0, 1_240, "0 % of 1,240"),
        (1, 1_000_000, "under 0.1 % of 1,000,000"),
        (999_999, 1_000_000, "over 99.9 % of 1,000,000"),
        (500, 500, "100 % of 500"),
    ],
)
def test_a_share_names_its_base(part, whole, said):
    assert wording.share(part, whole) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (42, "about 42"),
        (1_234, "about 1,200"),
        (999_499, "about 1,000,000"),
        (1_234_567, "about 1.2 million"),
        (2_500_000_000, "about 2.5 billion"),
    ],
)
def test_an_estimate_claims_no_more_than_it_knows(value, said):
    assert wording.estimate(value) == said


def test_a_count_that_was_stopped_says_so():
    assert wording.count(9_999, bound=10_000) == "9,999"
    assert wording.count(10_000, bound=10_000) == "10,000+"
    assert wording.count(10_001, bound=10_000) == "10,000+"


def test_numbers_are_written_as_the_reader_does():
    with translation.override("de"):
        assert wording.number(1_234.5, decimals=1) == "1.234,5"
        assert wording.duration(1.24) == "1,2 s"


@pytest.mark.parametrize("status", [*Status, *FlowStatus, Kind.RELEASED, Kind.WORKER_LOST])
def test_every_status_has_a_mark_of_its_own(status):
    found = wording.mark(status)
    assert found.glyph != "?"
    assert found.word
    assert found.css.startswith("oq-c-")


def test_no_two_states_look_the_same_without_colour():
    marks = {wording.mark(status).glyph for status in {*map(str, Status), *map(str, FlowStatus)}}
    assert len(marks) == len({*map(str, Status), *map(str, FlowStatus)})


@pytest.mark.parametrize("outcome", TickOutcome)
def test_every_outcome_of_a_schedules_moment_has_a_mark(outcome):
    assert wording.tick_mark(outcome).glyph != "?"


@pytest.mark.parametrize("reason", [one for one in Reason if one])
def test_every_reason_is_told_in_words(reason):
    assert wording.reason(reason) not in {"", reason.value, reason.value.replace("_", " ")}


def test_what_is_unknown_here_is_called_by_its_own_name():
    assert wording.mark("half_done").word == "Half done"
    assert wording.reason("moon_phase") == "moon phase"
    assert wording.reason("") == ""


def test_a_window_names_its_zone_once():
    with timezone.override("Europe/Berlin"):
        assert wording.window(NOW - timedelta(hours=1), NOW) == "November 27 11:36 to 12:36, Europe/Berlin"
        assert (
            wording.window(NOW - timedelta(days=1), NOW)
            == "November 26 12:36 to November 27 12:36, Europe/Berlin"
        )
