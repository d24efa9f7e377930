from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue_workbench.drawing.timeline import FOLD, axis
from openqueue_workbench.drawing.waterfall import MOST, Phase, drawn

START = datetime(2026, 11, 27, 11, 0, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'&"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def phase(
    since: float, until: float | None, *, kind: str = "attempt", label: str = "Attempt", **facts
) -> Phase:
    return Phase(kind=kind, label=label, since=at(since), until=None if until is None else at(until), **facts)


def page(phases: list[Phase], *, now: float, **more) -> ET.Element:
    return ET.fromstring(drawn("w", phases, now=at(now), **more))


def rows(whole: ET.Element) -> list[list[str]]:
    return [["".join(cell.itertext()).strip() for cell in row] for row in whole.iter("tr")][1:]


def labels(whole: ET.Element) -> list[str]:
    return [text.text for text in whole.find(".//thead").iter("text")]


def test_text_carries_every_number_and_bars_are_passed_over():
    whole = page(
        [phase(0, 2.1, kind="waiting", label="Waiting in queue"), phase(2.1, None, status="running")], now=3
    )
    assert rows(whole) == [
        ["Waiting in queue", "", "+0 s", "2.10 s"],
        ["Attempt ▶ Running", "", "+2.10 s", "900 ms so far"],
    ]
    assert all(svg.get("aria-hidden") == "true" for svg in whole.iter("svg"))


def test_a_bar_begins_and_ends_where_its_phase_does():
    whole = page([phase(0, 5, kind="waiting"), phase(5, 10, status="completed")], now=10)
    first, second = (row.find(".//td/svg/rect") for row in whole.find(".//tbody"))
    assert (first.get("x"), first.get("width")) == ("0%", "50%")
    assert (second.get("x"), second.get("width")) == ("50%", "50%")


def test_the_shortest_bar_is_two_pixels_wide_and_inside():
    whole = page([phase(0, 1_000, status="completed"), phase(1_000, 1_000, kind="moment")], now=1_000)
    thin = whole.findall(".//tbody//rect")[1]
    assert thin.get("width") == "2"
    assert float(thin.get("x").rstrip("%")) < 100


def test_a_long_idle_stretch_is_folded_and_named():
    day = 14 * 3_600
    whole = page([phase(0, day, kind="waiting"), phase(day, day + 3, status="completed")], now=day + 3)
    assert "14 h idle" in labels(whole)
    wait, ran = whole.find(".//tbody")
    assert wait.find(".//polyline") is not None
    assert ran.find(".//polyline") is None
    assert ran.findall(".//rect")[-1].get("width") == f"{100 - FOLD:.0f}%"


def test_a_stretch_is_folded_above_sixty_percent_and_ten_seconds():
    def is_folded(idle: float, whole: float) -> bool:
        return any(piece.is_folded for piece in axis(at(0), at(whole), busy=[(at(idle), at(whole))]).pieces)

    assert is_folded(61, 100)
    assert not is_folded(60, 100)
    assert not is_folded(9, 10)


def test_one_fold_can_make_another_stretch_too_long():
    pieces = axis(at(0), at(100_000), busy=[(at(90_000), at(90_010)), (at(100_000 - 10), at(100_000))]).pieces
    assert [piece.is_folded for piece in pieces] == [True, False, True, False]


def test_a_run_that_only_waits_is_drawn_in_full():
    assert labels(page([phase(0, None, kind="waiting")], now=86_400))[0] == "0 s"
    assert not any(piece.is_folded for piece in axis(at(0), at(86_400), busy=[]).pieces)


def test_beyond_fifty_child_runs_errors_come_first_and_the_rest_is_counted():
    children = [
        phase(n, n + 1, kind="child", label=f"child {n}", status="failed" if n == 70 else "completed")
        for n in range(80)
    ]
    whole = page([phase(0, 80, status="completed"), *children], now=80, more_url="?children")
    names = [row[0] for row in rows(whole)]
    assert len(names) == 1 + MOST + 1
    assert names[1] == "child 70 ✕ Failed"
    assert names[2] == "child 0 ✓ Completed"
    assert names[-1] == "30 more: ✓ 30"
    assert whole.findall(".//a")[-1].get("href") == "?children"


def test_up_to_fifty_stay_in_their_order():
    children = [phase(n, n + 1, kind="span", label=f"span {n}", status="failed") for n in range(MOST)]
    first, *_ = rows(page(children, now=60))
    assert first[0] == "span 0 ✕ Failed"
    assert len(rows(page(children, now=60))) == MOST


def test_what_was_given_is_never_markup():
    markup = drawn(
        "w",
        [phase(0, 1, label=EVIL, note=EVIL, worker=EVIL, worker_url=EVIL, url=EVIL, status=EVIL)],
        now=at(1),
    )
    ET.fromstring(markup)
    assert "<script" not in markup
    assert "style=" not in markup


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e4)), min_size=1, max_size=8))
def test_time_never_goes_back_on_the_axis(stretches):
    busy = [(at(since), at(since + length)) for since, length in stretches]
    end = max(until for _, until in busy) + timedelta(seconds=1)
    along = axis(at(0), end, busy=busy)
    places = [along.at(START + (end - START) * step / 200) for step in range(201)]
    assert all(before <= after + 1e-9 for before, after in pairwise(places))
    assert places[0] == pytest.approx(0)
    assert places[-1] == pytest.approx(100)
