"""The table of bad days names tests that are there, and leaves out no row."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "operations" / "faults.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
ROWS = {
    "W": {*range(1, 39)},
    "B": {*range(1, 18)},
    "R": {*range(1, 16)},
    "K": {*range(1, 14)},
    "Q": {*range(1, 15)},
    "D": {*range(1, 24)},
    "C": {*range(1, 8)},
    "X": {*range(1, 13)},
    "M": {*range(1, 17)},
}
"""Left out here: the rows of schedules, flows and the worker protocol, which this release has not."""


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_a_test_that_is_named_is_there(file: str, test: str):
    source = (ROOT / file).read_text("utf-8")
    assert re.search(rf"^    def {test}\(|^(async )?def {test}\(", source, re.MULTILINE)


def test_a_row_is_shown_or_says_why_it_is_left():
    told: set[tuple[str, int]] = set()
    for line in PAGE.splitlines():
        if row := re.match(r"\| ([A-Z]\d+(?:(?:, | to )[A-Z]\d+)*)[ |]", line):
            told |= ids(row[1])
            assert "::test_" in line or "left" in line, line
    missing = {(letter, n) for letter, numbers in ROWS.items() for n in numbers} - told
    assert missing == set()
    assert len(NAMED) > 100


def ids(text: str) -> set[tuple[str, int]]:
    """Read `D1, D3` and `M6 to M9`."""
    found: set[tuple[str, int]] = set()
    for part in text.split(", "):
        first, _, last = part.partition(" to ")
        found |= {(first[0], n) for n in range(int(first[1:]), int((last or first)[1:]) + 1)}
    return found
