"""Small drawings for cards and cells: sparkline, segmented bar, slots, the strip of past runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.drawing.bars import counted
from openqueue_workbench.drawing.markup import join, named, table, tag, text

SPARK: Final = (132, 28)
BAR: Final = (160, 12)
LEAST: Final = 3
STEP: Final = 8
TALL: Final = 24
MOST_SLOTS: Final = 32
"""Slots that are drawn one by one."""
HEIGHTS: Final = {
    Status.FAILED: 24, Status.RETRYING: 18, Status.RUNNING: 18, Status.COMPLETED: 14, Status.EXPIRED: 10,
    Status.CANCELLED: 10,
}  # fmt: skip
"""Of a past run: what needs a look stands out without its colour. Those that wait are low."""
HOLLOW: Final = frozenset({Status.RUNNING, Status.SCHEDULED, Status.QUEUED, Status.WAITING, Status.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One run of a strip."""

    status: str
    url: str
    said: str
    """When it was and what else is worth knowing: "27 Nov 09:00, took 3.2 s"."""


def sparkline(
    id: str,
    values: Sequence[float | None],
    *,
    title: str,
    says: Callable[[float], str] = wording.number,
    is_running: bool = False,
) -> SafeString:
    """Return a line from zero up; ``title`` names the numbers and their window; gaps stay gaps.

    With ``is_running`` the last step is not over and is drawn paler.
    """
    known = [value for value in values if value is not None]
    if not known:
        return tag("span", wording.NOTHING, class_="oq-draw oq-empty", title=title)
    last = values[-1]
    desc = _("Lowest %(low)s, highest %(high)s, last %(last)s.") % {
        "low": says(min(known)),
        "high": says(max(known)),
        "last": wording.NOTHING if last is None else says(last),
    }
    width, height = SPARK
    top, apart = max(known) or 1, (width - 4) / max(1, len(values) - 1)
    points = [
        None if value is None else (2 + index * apart, height - 2 - value / top * (height - 4))
        for index, value in enumerate(values)
    ]
    parts = [tag("line", x1=0, x2=width, y1=height - 1, y2=height - 1, class_="oq-grid")]
    if any(known):
        parts.append(path(points[:-1] if is_running else points, css="oq-spark"))
        if is_running:
            parts.append(path(points[-2:], css="oq-spark oq-running"))
    inside, names = named(id, title=title, desc=desc)
    drawn = tag(
        "svg", inside, *parts, width=width, height=height, viewBox=f"0 0 {width} {height}", role="img",
        class_="oq-sparkline", **names,
    )  # fmt: skip
    return tag("span", drawn, class_="oq-draw oq-inline", dir="ltr")


def path(points: Sequence[tuple[float, float] | None], *, css: str) -> SafeString:
    """Return straight lines from point to point; nothing joins what a gap divides, and one alone is a dot."""
    lines, dots = [], []
    for is_gap, run in groupby(points, key=lambda point: point is None):
        if is_gap:
            continue
        places = [f"{text(float(point[0]))} {text(float(point[1]))}" for point in run if point]
        if len(places) > 1:
            lines.append(f"M{'L'.join(places)}")
        else:
            dots.append(f"M{places[0]}h0")
    return join(
        tag("path", d="".join(written), class_=name, vector_effect="non-scaling-stroke")
        for written, name in ((lines, css), (dots, f"{css} oq-dot"))
        if written
    )


def segmented(counts: Mapping[str, int], *, order: Sequence[str]) -> SafeString:
    """Return how much of a whole stands how: a bar, and beside it the numbers with their marks."""
    there = [status for status in order if counts.get(status)]
    whole = sum(counts[status] for status in there)
    if not whole:
        return tag("span", wording.NOTHING, class_="oq-draw oq-empty")
    width, height = BAR
    room = width - LEAST * len(there)
    parts, x = [], 0.0
    for status in there:
        length = LEAST + counts[status] / whole * room
        parts.append(
            tag("rect", x=x, y=0, width=max(float(LEAST) - 1, length - 1), height=height,
                class_=f"oq-fill {wording.mark(status).css}")
        )  # fmt: skip
        x += length
    drawn = tag(
        "svg", *parts, width=width, height=height, viewBox=f"0 0 {width} {height}", aria_hidden="true"
    )
    marks = join(
        tag("span", tag("span", wording.mark(one).glyph, class_="oq-ink"), " ", wording.count(counts[one]),
            class_=f"oq-part {wording.mark(one).css}", title=wording.mark(one).word)
        for one in there
    )  # fmt: skip
    said = tag("span", counted(counts, there), class_="oq-hidden")
    shown = tag("span", marks, aria_hidden="true", class_="oq-parts")
    return tag("span", drawn, shown, said, class_="oq-draw oq-inline oq-segmented", dir="ltr")


def slots(busy: int, *, of: int) -> SafeString:
    """Return how many slots are taken: each of few, a share of many; and the numbers beside."""
    width, height = BAR
    said = _("%(busy)s of %(slots)s slots are taken") % {
        "busy": wording.count(busy),
        "slots": wording.count(of),
    }
    parts = []
    if 0 < of <= MOST_SLOTS:
        each = width / of
        for number in range(of):
            css = "oq-fill oq-c-running" if number < busy else "oq-free"
            parts.append(tag("rect", x=number * each, y=0, width=each - 1.5, height=height, class_=css))
    elif of:
        taken = min(1.0, busy / of) * width
        parts.append(tag("rect", x=0, y=0, width=width, height=height, class_="oq-free"))
        if busy:
            taken = max(float(LEAST), taken)
            parts.append(tag("rect", x=0, y=0, width=taken, height=height, class_="oq-fill oq-c-running"))
    drawn = tag(
        "svg", *parts, width=width, height=height, viewBox=f"0 0 {width} {height}", aria_hidden="true"
    )
    shown = tag("span", f"{wording.count(busy)} / {wording.count(of)}", aria_hidden="true", class_="oq-parts")
    return tag("span", drawn if of else "", shown, tag("span", said, class_="oq-hidden"),
               class_="oq-draw oq-inline oq-slots", dir="ltr")  # fmt: skip


def strip(
    id: str, runs: Sequence[Past], *, title: str, with_table: bool = True, step: int = STEP
) -> SafeString:
    """Return past runs one beside the other, oldest first, each a link; ``with_table`` lists them behind it.

    ``step``: how many pixels each takes.
    """
    if not runs:
        return tag("span", _("No runs yet."), class_="oq-draw oq-empty")
    links = []
    for index, run in enumerate(runs):
        mark = wording.mark(run.status)
        said = f"{mark.word}: {run.said}"
        status = next((one for one in Status if one == run.status), Status.QUEUED)
        height = HEIGHTS.get(status, 8)
        hit = tag("rect", x=index * step, y=0, width=step, height=TALL, class_="oq-hit")
        hollow = status in HOLLOW
        inset = 0.75 if hollow else 0.0
        bar = tag(
            "rect", x=index * step + 1 + inset, y=TALL - height + inset, width=step - 2 - 2 * inset,
            height=height - 2 * inset, class_="oq-outline" if hollow else "oq-fill",
        )  # fmt: skip
        # Escaped once for both places: a page of schedules has hundreds of these.
        told = join([said])
        links.append(
            tag("a", tag("title", told), hit, bar, href=run.url, aria_label=told, class_=f"oq-bar {mark.css}")
        )
    width = len(runs) * step
    statuses = list(dict.fromkeys(run.status for run in runs))
    counts = {one: sum(run.status == one for run in runs) for one in statuses}
    inside, names = named(id, title=title, desc=counted(counts, statuses))
    drawn = tag(
        "svg", inside, *links, width=width, height=TALL, viewBox=f"0 0 {width} {TALL}", role="group", **names
    )
    whole = tag("div", drawn, class_="oq-scroll")
    rows = [(run.said, wording.mark(run.status).word) for run in runs]
    behind = table(title, [_("Run"), _("State")], rows) if with_table else ""
    return tag("div", whole, behind, class_="oq-draw oq-strip")
