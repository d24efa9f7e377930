from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.utils import timezone, translation

from openqueue_workbench.drawing import histogram, inline, percentiles, scale
from openqueue_workbench.drawing.bars import Bar, stacked
from openqueue_workbench.drawing.frame import ABOVE, HEIGHT, Frame
from openqueue_workbench.drawing.histogram import Bin
from openqueue_workbench.drawing.inline import Past
from openqueue_workbench.drawing.percentiles import Point
from tests.workbench.drawing_gallery import SECTIONS

NOW = datetime(2026, 11, 27, 11, 36, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVIL = "<script>alert(1)</script>\"'&"
DRAWINGS = pytest.mark.parametrize("name", SECTIONS)
GEOMETRY = {"x", "y", "x1", "x2", "y1", "y2", "width", "height", "rx", "d", "points", "viewBox"}
NUMBERS = re.compile(r"[-MLCHVhz0-9. %]*")


def tree(markup: str) -> ET.Element:
    return ET.fromstring(f"<page>{markup}</page>")


def words(element: ET.Element, *, but: tuple[str, ...] = ("title", "desc")) -> str:
    """The text that is seen."""
    if element.tag in but:
        return element.tail or ""
    inner = (element.text or "") + "".join(words(child, but=but) for child in element)
    return inner + (element.tail or "")


def frame(**changes) -> Frame:
    return Frame(
        **{"id": "c", "title": "Finished per hour", "since": NOW - 2 * HOUR, "before": NOW, **changes}
    )


def bar(hour: int, *, url: str = "", is_running: bool = False, **counts: int) -> Bar:
    since = NOW.replace(minute=0, second=0) + (hour - 2) * HOUR
    return Bar(since=since, before=since + HOUR, counts=counts, url=url, is_running=is_running)


def rects(markup: str, css: str) -> list[ET.Element]:
    return [one for one in tree(markup).iter("rect") if css in one.get("class", "").split()]


@DRAWINGS
def test_nothing_that_a_strict_policy_blocks(name):
    for element in tree(SECTIONS[name]().replace(" style='padding:5px 0'", "")).iter():
        assert element.tag != "script"
        assert not [key for key in element.attrib if key == "style" or key.startswith("on")]


@DRAWINGS
def test_ids_are_there_once_and_lead_somewhere(name):
    page = tree(SECTIONS[name]())
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in page.iter():
        for key in ("aria-labelledby", "aria-describedby"):
            assert set((element.get(key) or "").split()) <= set(ids)
        led = re.findall(r"url\(#([^)]+)\)", " ".join(element.attrib.values()))
        assert set(led) <= set(ids)


@DRAWINGS
def test_each_picture_has_a_name_or_is_passed_over(name):
    page = tree(SECTIONS[name]())
    inner = {id(child) for svg in page.iter("svg") for child in svg.iter("svg") if child is not svg}
    for svg in page.iter("svg"):
        if id(svg) in inner or svg.get("aria-hidden") == "true":
            assert not list(svg.iter("a"))
            continue
        assert (
            svg.get("role") == ("group" if list(svg.iter("a")) or "graph" in name else "img")
            or "Flow" in name
        )
        assert svg.get("aria-labelledby")
        assert svg.find("title") is not None


@DRAWINGS
def test_a_link_is_called_what_it_shows(name):
    for link in tree(SECTIONS[name]()).iter("a"):
        label = link.get("aria-label")
        shown = " ".join(part.strip() for part in link.itertext() if part.strip()) if label is None else None
        assert link.get("href")
        assert label or shown
        if label is not None:
            seen = [words(one).strip() for one in link.iter("text")]
            assert " ".join(seen) in label


@DRAWINGS
@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_coordinates_are_numbers_in_every_language(name, language):
    with translation.override(language):
        page = tree(SECTIONS[name]())
    for element in page.iter():
        for key in GEOMETRY & set(element.attrib):
            assert NUMBERS.fullmatch(element.attrib[key]), (element.tag, key, element.attrib[key])


@DRAWINGS
def test_the_same_is_drawn_the_same(name):
    assert SECTIONS[name]() == SECTIONS[name]()


def test_every_class_that_is_painted_is_in_the_stylesheet():
    styled = set(
        re.findall(r"\.(oq-[\w-]+)", Path(finders.find("openqueue_workbench/drawing.css")).read_text())
    )
    painted = {
        css
        for draw in SECTIONS.values()
        for element in tree(draw()).iter()
        if element.tag in {"rect", "path", "line", "text", "polyline", "a", "g"}
        for css in element.get("class", "").split()
    }
    assert painted - {"oq-node"} <= styled


def test_what_is_not_nothing_is_at_least_three_pixels_high():
    markup = stacked(frame(), [bar(0, completed=100_000, failed=1)], order=("completed", "failed"))
    good, bad = rects(markup, "oq-fill")
    assert float(bad.get("height")) == scale.LEAST
    assert float(bad.get("y")) + float(bad.get("height")) == pytest.approx(float(good.get("y")))
    assert float(bad.get("y")) >= ABOVE - 0.01


def test_zero_draws_nothing_and_leads_nowhere():
    bars = [bar(0, url="?a", completed=5, failed=0), bar(1, url="?b", completed=0)]
    markup = stacked(frame(), bars, order=("completed", "failed"))
    assert len(rects(markup, "oq-fill")) == 1
    assert [link.get("href") for link in tree(markup).iter("a")] == ["?a"]


def test_bars_begin_at_zero_and_are_as_high_as_what_they_count():
    markup = stacked(frame(), [bar(0, completed=50), bar(1, completed=100)], order=("completed",))
    low, high = (float(one.get("height")) for one in rects(markup, "oq-fill"))
    assert high == pytest.approx(2 * low, abs=0.02)
    assert high == pytest.approx(HEIGHT, abs=0.01)
    assert {float(one.get("y")) + float(one.get("height")) for one in rects(markup, "oq-fill")} == {
        ABOVE + HEIGHT
    }


def test_the_running_step_is_marked_and_named():
    markup = stacked(
        frame(), [bar(0, completed=5), bar(1, completed=2, is_running=True)], order=("completed",)
    )
    (running,) = [one for one in tree(markup).iter("g") if "oq-running" in one.get("class", "").split()]
    assert "so far: 2 completed" in running.find("title").text
    (named,) = [one for one in tree(markup).iter("text") if one.text == "so far"]
    assert "oq-odd" not in named.get("class").split()  # those are left out where there is little room
    assert "The last bar is not over: 2 so far." in markup


def test_what_the_order_does_not_name_is_drawn_all_the_same():
    markup = stacked(frame(), [bar(0, completed=5, expired=3)], order=("completed",))
    assert [one.get("class") for one in rects(markup, "oq-fill")] == [
        "oq-fill oq-c-completed",
        "oq-fill oq-c-cancelled",
    ]
    assert "5 completed, 3 expired" in markup


def test_a_chart_says_its_numbers_in_words_and_as_a_table():
    with timezone.override("Europe/Berlin"):
        markup = stacked(
            frame(), [bar(0, completed=5, failed=1), bar(1, completed=7)], order=("completed", "failed")
        )
    page = tree(markup)
    desc = page.find(".//desc").text
    assert "12 completed, 1 failed" in desc
    assert "Most at 27 Nov 11:00: 7." in desc
    rows = [[cell.text for cell in row] for row in page.iter("tr")]
    assert rows == [
        ["From", "Completed", "Failed", "Together"],
        ["27 Nov 10:00", "5", "1", "6"],
        ["27 Nov 11:00", "7", "0", "7"],
    ]
    assert page.find(".//figcaption")[1].text == "November 27 10:36 to 12:36, Europe/Berlin"


def test_without_data_there_is_a_sentence():
    told = stacked(frame(), [bar(0)], order=("completed",))
    assert told.startswith('<p class="oq-draw oq-empty">Finished per hour: nothing from November 27')
    assert "All is quiet." in stacked(frame(empty="All is quiet."), [], order=())
    assert "<svg" not in percentiles.lines(frame(), [])
    assert "<svg" not in histogram.drawn(frame(), [])
    assert "<svg" not in inline.sparkline("s", [], title="x")


def test_what_was_given_is_never_markup():
    shown = [
        stacked(frame(title=EVIL), [bar(0, url=EVIL, completed=1)], order=("completed", EVIL)),
        percentiles.lines(frame(title=EVIL), [Point(since=NOW, before=NOW, p50=1, p95=2, runs=1)]),
        histogram.drawn(frame(title=EVIL), [Bin(above=0, upto=1, count=1, url=EVIL)]),
        inline.sparkline("s", [1, 2], title=EVIL),
        inline.segmented({EVIL: 1}, order=[EVIL]),
        inline.strip("p", [Past(status=EVIL, url=EVIL, said=EVIL)], title=EVIL),
        stacked(frame(empty=EVIL), [], order=()),
    ]
    for markup in shown:
        tree(markup)  # well-formed all the same
        assert "<script" not in markup
        assert "&lt;script&gt;" in markup


def test_lines_do_not_join_what_a_gap_divides():
    points = [(0.0, 0.0), (1.0, 1.0), None, (3.0, 3.0), None]
    markup = inline.path(points, css="x")
    assert [one.get("d") for one in tree(markup).iter("path")] == ["M0 0L1 1", "M3 3h0"]


def test_a_sparkline_of_noughts_draws_only_its_ground():
    page = tree(inline.sparkline("s", [0, 0], title="Started"))
    assert page.find(".//path") is None
    assert page.find(".//desc").text == "Lowest 0, highest 0, last 0."


def test_small_parts_of_a_segmented_bar_are_seen_and_its_numbers_said():
    markup = inline.segmented(
        {"completed": 10_000, "failed": 1, "queued": 0}, order=("completed", "failed", "queued")
    )
    _, thin = rects(markup, "oq-fill")
    assert float(thin.get("width")) >= 2
    assert float(thin.get("x")) + float(thin.get("width")) <= inline.BAR[0]
    assert "10,000 completed, 1 failed" in markup


def test_slots_are_drawn_one_by_one_where_they_are_few():
    assert len(rects(inline.slots(14, of=24), "oq-fill")) == 14
    assert len(rects(inline.slots(14, of=24), "oq-free")) == 10
    assert len(rects(inline.slots(1, of=400), "oq-fill")) == 1
    assert float(rects(inline.slots(1, of=400), "oq-fill")[0].get("width")) == 3
    assert float(rects(inline.slots(500, of=400), "oq-fill")[0].get("width")) == inline.BAR[0]
    assert "14 of 24 slots are taken" in inline.slots(14, of=24)


def test_past_runs_differ_without_their_colour():
    runs = [
        Past(status=status, url="?", said=status)
        for status in ("completed", "failed", "running", "retrying", "queued")
    ]
    page = tree(inline.strip("p", runs, title="Last runs"))
    bars = [link.findall("rect")[1] for link in page.iter("a")]
    assert len({(one.get("height"), one.get("class")) for one in bars}) == 5


def test_buckets_become_bins_without_gaps_and_lose_no_run():
    counts = {3: 1, 90: 5, 40: 7}
    found = histogram.bins(counts, upto=lambda bucket: 0.001 * 2 ** (bucket / 4))
    assert len(found) <= histogram.MOST
    assert sum(one.count for one in found) == 13
    assert all(one.upto == following.above for one, following in pairwise(found))
    assert histogram.bins({}, upto=float) == []


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(0, [0, 1]), (1, [0, 1]), (3, [0, 1, 2, 3]), (259, [0, 100, 200, 300]), (1_442, [0, 500, 1_000, 1_500])],
)
def test_an_axis_of_counts_has_round_whole_ticks(highest, ticks):
    assert scale.counts(highest) == ticks


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(0.0004, [0, 0.001]), (2.2, [0, 1, 2, 3]), (50, [0, 30, 60]), (5_000, [0, 1_800, 3_600, 5_400])],
)
def test_an_axis_of_durations_has_ticks_that_people_count_in(highest, ticks):
    assert scale.durations(highest) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("step", "number"),
    [
        (timedelta(minutes=1), 60),
        (timedelta(minutes=15), 96),
        (HOUR, 24),
        (HOUR, 168),
        (timedelta(days=1), 30),
    ],
)
def test_a_time_axis_has_some_labels_and_not_too_many(step, number):
    start = NOW.replace(minute=0, second=0) - step * (number - 1)
    bars = [
        Bar(since=start + step * index, before=start + step * (index + 1), counts={"completed": 1})
        for index in range(number)
    ]
    with timezone.override("UTC"):
        page = tree(stacked(frame(), bars, order=("completed",)))
    labels = [one.text for one in page.iter("text") if one.get("y") == str(ABOVE + HEIGHT + 16)]
    assert 3 <= len(labels) <= 9
    assert len(set(labels)) == len(labels)
