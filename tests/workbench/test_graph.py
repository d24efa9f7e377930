from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from openqueue.control.flows import NodeFacts
from openqueue_workbench.drawing import graph, groups, nodes
from openqueue_workbench.drawing.groups import Group, Step, gathered
from openqueue_workbench.drawing.layout import CycleFound

NOW = datetime(2026, 11, 27, 11, 0, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'&"


def step(name: str, *after: str, status: str = "completed", **facts) -> Step:
    return Step(
        **{"key": name, "name": name, "status": status, "url": f"?step={name}", "after": after, **facts}
    )


def fan(number: int, *, failed: int = 0) -> list[Step]:
    middle = [
        step(f"resize-{n}", "split", status="failed" if n < failed else "completed") for n in range(number)
    ]
    return [step("split"), *middle, step("join", *(one.name for one in middle), status="waiting")]


def page(steps: list[Step], **more) -> ET.Element:
    return ET.fromstring(graph.drawn("g", steps, **more))


def boxes(whole: ET.Element) -> dict[str, tuple[float, float]]:
    return {
        link.findall("text")[1].text: (float(link.find("rect").get("x")), float(link.find("rect").get("y")))
        for link in whole.iter("a")
    }


def test_steps_are_links_in_the_order_in_which_they_run():
    links = [link.get("href") for link in page([step("c", "b"), step("b", "a"), step("a")]).iter("a")]
    assert links == ["?step=a", "?step=b", "?step=c"]


def test_a_step_shows_mark_name_state_and_time():
    whole = page(
        [
            step("pdf", status="running", seconds=12.0),
            step("mail", "pdf", status="waiting", note="blocked by pdf"),
        ]
    )
    assert [[text.text for text in link.iter("text")] for link in whole.iter("a")] == [
        ["▶", "pdf", "Running · 12 s"],
        ["◌", "mail", "Waiting · blocked by pdf"],
    ]
    assert ["oq-waits" in link.get("class").split() for link in whole.iter("a")] == [False, True]


def test_places_do_not_change_with_how_steps_stand():
    before = [step("a", status="running"), step("b", "a", status="waiting"), step("c", "a", status="waiting")]
    after = [step("a"), step("b", "a", status="failed"), step("c", "a", seconds=3.0)]
    assert boxes(page(before)) == boxes(page(after))


def test_a_name_that_is_too_long_is_cut_and_whole_in_the_title():
    name = "index-of-everything-that-was-ever-bought"
    (link,) = page([step(name)]).iter("a")
    shown = link.findall("text")[1].text
    assert shown.endswith("…")
    assert len(shown) <= graph.LETTERS
    assert name in link.find("title").text
    assert name in link.get("aria-label")
    assert shown in link.get("aria-label")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("short", "short"), ("a" * 18, "a" * 18), ("a" * 19, "a" * 17 + "…"), ("図" * 12, "図" * 8 + "…")],
)
def test_wide_letters_count_twice(name, shown):
    assert graph.cut(name, graph.LETTERS) == shown


def test_the_chosen_step_is_marked():
    whole = page([step("a"), step("b", "a")], selected="b")
    assert [link.get("aria-current") for link in whole.iter("a")] == [None, "true"]


def test_sixty_in_a_layer_are_drawn_one_by_one():
    assert len(list(page(fan(60)).iter("a"))) == 62


def test_more_are_put_together_with_those_that_failed_named_first():
    found = gathered(fan(240, failed=7), opens=lambda key: f"?expand={key}")
    assert [cell.name for cell in found] == ["split", "resize", "join"]
    group = found[1]
    assert isinstance(group, Group)
    assert (group.status, group.url, group.after) == ("failed", "?expand=resize@1", ("split",))
    assert group.said() == "✕ 7 ✓ 233"
    assert group.told() == (
        "Failed: resize-0, resize-1, resize-2, resize-3, resize-4, 2 more. resize × 240: 7 failed, 233 completed"
    )
    assert found[2].after == ("resize@1",)


def test_an_opened_group_is_drawn_step_by_step():
    assert len(gathered(fan(240), expanded=["resize@1"])) == 242


def test_above_three_hundred_in_all_each_layer_is_grouped():
    chains = [step(f"load-{n}") for n in range(55)]
    for depth, name in enumerate(("clean", "merge", "count", "store", "check")):
        before = ("load", "clean", "merge", "count", "store")[depth]
        chains += [step(f"{name}-{n}", f"{before}-{n}") for n in range(55)]
    assert [cell.name for cell in gathered(chains)] == ["load", "clean", "merge", "count", "store", "check"]
    assert len(gathered(chains[:300])) == 300


def test_alone_among_many_a_step_keeps_its_name():
    many = [*fan(100)[:-1], step("audit-1", "split")]
    assert [cell.name for cell in gathered(many)] == ["split", "resize", "audit-1"]


@pytest.mark.parametrize(
    ("name", "common"),
    [
        ("resize-7", "resize"),
        ("resize 12", "resize"),
        ("resize[3]", "resize"),
        ("page_(4)", "page"),
        ("v2", "v"),
        ("42", "42"),
    ],
)
def test_siblings_are_told_apart_by_a_number_at_the_end(name, common):
    assert groups.family(name) == common


def test_more_than_a_thousand_are_left_to_the_table_and_that_is_said():
    names = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(1_001)]
    told = graph.drawn("g", [step(name) for name in names])
    assert "1,001 steps are too many to draw: the table lists them." in told
    assert "<svg" not in told
    assert "1,200 steps are too many" in graph.drawn("g", [step("a")], total=1_200)
    assert "<svg" in graph.drawn("g", [step(name) for name in names[:1_000]])


def test_a_flow_without_steps_says_so():
    assert "This flow has no steps." in graph.drawn("g", [])


def test_a_circle_is_refused():
    with pytest.raises(CycleFound):
        graph.drawn("g", [step("a", "b"), step("b", "a")])


def test_what_was_given_is_never_markup():
    evil = step(EVIL, url=EVIL, note=EVIL, status=EVIL)
    for markup in (graph.drawn("g", [evil]), graph.drawn("g", [evil, *fan(61)], opens=lambda key: EVIL)):
        ET.fromstring(markup)
        assert "<script" not in markup
        assert "style=" not in markup


def test_an_edge_starts_and_ends_at_its_nodes_and_never_goes_back():
    whole = page([step("a"), step("b", "a"), step("c", "b"), step("d", "c", "a")])
    places = boxes(whole)
    ends = set()
    for path in whole.findall(".//path[@class='oq-edge']"):
        numbers = [float(one) for one in re.findall(r"-?[\d.]+", path.get("d"))]
        ends.add((numbers[0], numbers[-2]))
        assert numbers[0] < numbers[-2]
    assert (places["a"][0] + graph.WIDTH, places["d"][0]) in ends
    assert len(ends) == 4


def node(name: str, *after: str, **facts) -> NodeFacts:
    return NodeFacts(
        **{
            "flow_id": uuid4(), "run_id": uuid4(), "name": name, "number": 0, "task_id": "t", "queue": "default",
            "status": "completed", "reason": "", "attempt": 1, "max_attempts": 3,
            "after": after, "waits_for": (), "blocked_by": (), "added_by": None,
            "created_at": NOW, "released_at": NOW, "started_at": None, "finished_at": None, **facts,
        }
    )  # fmt: skip


def test_steps_are_read_off_a_flows_nodes():
    found = nodes.steps(
        [
            node("a", started_at=NOW, finished_at=NOW + timedelta(seconds=3)),
            node("b", "a", "not-read", status="running", started_at=NOW),
            node("c", "b", status="waiting", blocked_by=["a", "b"]),
            node("d", "b", status="retrying", started_at=NOW),
        ],
        url=lambda one: f"?step={one.name}",
        now=NOW + timedelta(seconds=10),
    )
    assert [one.said() for one in found] == [
        "Completed · 3.0 s",
        "Running · 10 s",
        "Waiting · blocked by a and 1 more",
        "Retrying",
    ]
    assert found[1].after == ("a",)
    assert found[2].url == "?step=c"
