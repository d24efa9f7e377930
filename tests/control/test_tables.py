from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from openqueue.management import arguments
from openqueue.management.tables import as_json, fields, moment, plain, span, table


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    assert table(["QUEUE", "DUE"], [["a", 5], ["email", 1200], ["b", None]]).splitlines() == [
        "QUEUE   DUE",
        "a         5",
        "email  1200",
        "b         -",
    ]


def test_a_table_without_rows_is_its_header():
    assert table(["A", "B"], []) == "A  B"


def test_a_cell_is_clipped_and_on_one_line():
    line = table(["TEXT"], [["x\ny" * 100]]).splitlines()[1]
    assert len(line) == 60
    assert line.startswith(r"x\nyx\ny")
    assert line.endswith("…")


def test_control_characters_are_shown_and_not_obeyed():
    assert plain("\x1b[31mé\u202e") == "\\x1b[31mé\\u202e"


def test_fields_leave_out_what_is_empty():
    assert fields([("queue", "email"), ("took", None), ("attempt", 0)]) == "  queue    email\n  attempt  0"


def test_values_are_json_by_the_names_of_their_fields():
    at = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
    assert as_json({"id": UUID(int=1), "at": at}) == (
        '{\n  "id": "00000000-0000-0000-0000-000000000001",\n  "at": "2027-03-01T09:00:00+00:00"\n}'
    )
    with pytest.raises(TypeError, match="set has no JSON form"):
        as_json({1})


def test_a_moment_is_shown_in_the_time_zone_of_the_project():
    assert moment(datetime(2027, 7, 1, 9, 0, tzinfo=UTC)) == "2027-07-01 11:00:00"
    assert moment(None) is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0, "0.000 s"),
        (0.0123, "0.012 s"),
        (4.21, "4.2 s"),
        (180, "3.0 min"),
        (9_000, "2.5 h"),
        (1e6, "11.6 d"),
    ],
)
def test_a_span_is_told_in_the_unit_that_suits_it(seconds, shown):
    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("250ms", 0.25), ("10m", 600), ("2 h", 7_200), ("1d", 86_400)],
)
def test_a_duration_is_seconds_or_has_a_unit(text, seconds):
    assert arguments.duration(text) == seconds
