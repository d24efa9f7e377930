"""The graph of a flow: from left to right in the order in which its steps run."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue_workbench import wording
from openqueue_workbench.drawing import layout
from openqueue_workbench.drawing.groups import Cell, Group, Step, gathered
from openqueue_workbench.drawing.markup import join, nothing, tag, text
from openqueue_workbench.wording import Mark

MOST: Final = 1_000
"""Cells that are drawn."""
WIDTH: Final = 178
HEIGHT: Final = 56
APART: Final = 72
DOWN: Final = 80
EDGE: Final = 14
LETTERS: Final = 18
"""Of a name that fit into a node, where a wide letter counts two."""
WAITS: Final = frozenset({"scheduled", "queued", "waiting"})


def drawn(
    id: str,
    steps: Sequence[Step],
    *,
    expanded: Collection[str] = (),
    opens: Callable[[str], str] | None = None,
    selected: str = "",
    total: int | None = None,
) -> SafeString:
    """Return the graph; ``expanded`` has the keys of groups that are open, ``opens`` makes the link that opens one.

    ``total`` counts also the steps that were not read.

    Places depend on which steps there are and what they wait for, never on how they stand.

    Raises:
        CycleFound: some of them wait for each other.
    """
    if not steps:
        return nothing(_("This flow has no steps."))
    cells = gathered(steps, expanded=expanded, opens=opens)
    left_off = total is not None and total > len(steps)
    if len(cells) > MOST or left_off:
        return nothing(
            _("%(steps)s steps are too many to draw: the table lists them.")
            % {"steps": wording.count(total or len(steps))}
        )
    placed = layout.laid_out(
        [cell.key for cell in cells], [(parent, cell.key) for cell in cells for parent in cell.after]
    )
    by_key = {cell.key: cell for cell in cells}
    # Links follow each other as the steps run.
    order = sorted(cells, key=lambda cell: placed.places[cell.key])
    edges = join(
        tag(
            "path",
            d=_curve(placed.places[parent], between, placed.places[child]),
            class_="oq-edge",
            marker_end=f"url(#{id}-arrow)",
        )
        for (parent, child), between in placed.routes.items()
    )
    nodes = join(_node(by_key[cell.key], placed.places[cell.key], selected=selected) for cell in order)
    head = tag("path", d="M0 0 L8 4 L0 8 z", class_="oq-arrow")
    arrow = tag(
        "marker", head, id=f"{id}-arrow", viewBox="0 0 8 8", refX=8, refY=4, markerWidth=8, markerHeight=8,
        orient="auto", markerUnits="userSpaceOnUse",
    )  # fmt: skip
    width = 2 * EDGE + placed.layers * WIDTH + (placed.layers - 1) * APART
    height = 2 * EDGE + placed.rows * DOWN + HEIGHT
    said = _("Steps in the order in which they run: %(steps)s. Arrows lead to what waits for them.") % {
        "steps": wording.count(len(steps))
    }
    picture = tag(
        "svg", tag("title", said, id=f"{id}-title"), tag("defs", arrow), edges, nodes,
        width=width, height=height, viewBox=f"0 0 {width} {text(float(height))}", role="group",
        aria_labelledby=f"{id}-title", direction="ltr",
    )  # fmt: skip
    region = tag(
        "div",
        picture,
        class_="oq-scroll",
        role="region",
        tabindex="0",
        aria_label=_("Graph of the flow"),
        dir="ltr",
    )
    return tag("div", region, _legend(steps), class_="oq-draw oq-graph", id=id)


def _node(cell: Cell, place: tuple[int, float], *, selected: str) -> SafeString:
    mark = wording.mark(cell.status)
    x, y = _corner(place)
    name = cut(cell.name, LETTERS - (3 if isinstance(cell, Group) else 0))
    if isinstance(cell, Group):
        name = _("%(name)s × %(count)s") % {"name": name, "count": wording.count(len(cell.steps))}
    state = cut(cell.said(), LETTERS + 8)
    shown = f"{mark.glyph} {name} {state}"
    full = cell.told()
    css = ["oq-node", mark.css]
    if cell.status in WAITS:
        css.append("oq-waits")
    if cell.key == selected:
        css.append("oq-selected")
    box = tag("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=5, class_="oq-box")
    behind = (
        tag("rect", x=x + 4, y=y + 4, width=WIDTH, height=HEIGHT, rx=5, class_="oq-box")
        if isinstance(cell, Group)
        else ""
    )
    words = [
        tag("text", mark.glyph, x=x + 12, y=y + 23, class_="oq-glyph oq-ink"),
        tag("text", name, x=x + 29, y=y + 23, class_="oq-name"),
        tag("text", state, x=x + 12, y=y + 42, class_="oq-state"),
    ]
    said = shown if full in shown else f"{shown}: {full}"
    inside = [tag("title", full), behind, box, *words]
    if not cell.url:
        return tag("g", *inside, class_=" ".join(css))
    current = "true" if cell.key == selected else None
    return tag("a", *inside, href=cell.url, aria_label=said, aria_current=current, class_=" ".join(css))


def _corner(place: tuple[int, float]) -> tuple[float, float]:
    return float(EDGE + place[0] * (WIDTH + APART)), EDGE + place[1] * DOWN


def _curve(start: tuple[int, float], between: Sequence[tuple[int, float]], end: tuple[int, float]) -> str:
    """Return a path from the right of one node to the left of another, level where it passes others."""
    x, y = _corner(start)
    x, y = x + WIDTH, y + HEIGHT / 2
    path = [f"M{text(x)} {text(y)}"]
    for place in (*between, end):
        to_x, to_y = _corner(place)
        to_y += HEIGHT / 2
        middle = text((x + to_x) / 2)
        path.append(f"C{middle} {text(y)} {middle} {text(to_y)} {text(to_x)} {text(to_y)}")
        x, y = to_x, to_y
        if place is not end:
            x += WIDTH
            path.append(f"H{text(x)}")
    return " ".join(path)


def cut(name: str, letters: int) -> str:
    """Return a name that fits, its end left out where it does not."""
    room = letters
    for index, letter in enumerate(name):
        room -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if room < 0:
            return f"{name[: max(1, index - 1)].rstrip()}…"
    return name


def _legend(steps: Sequence[Step]) -> SafeString:
    marks: dict[str, Mark] = {step.status: wording.mark(step.status) for step in steps}
    order = sorted(marks, key=lambda status: marks[status].word)
    entries = [
        tag("li", tag("span", marks[one].glyph, aria_hidden="true", class_=f"oq-glyph oq-ink {marks[one].css}"), " ",
            marks[one].word)
        for one in order
    ]  # fmt: skip
    return tag("ul", *entries, class_="oq-legend", aria_label=_("What the marks mean"))
