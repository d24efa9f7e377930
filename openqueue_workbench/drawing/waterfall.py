"""The timeline of a run: a table with a row for each phase, and a bar in each row on one axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.drawing.markup import nothing, share, tag
from openqueue_workbench.drawing.timeline import Axis, Piece, axis

MOST: Final = 50
"""Child runs, spans and moments that have a row of their own."""
HEIGHT: Final = 16
THIN: Final = 0.4
"""Percent of the width below which a bar is two pixels wide."""
IDLE: Final = frozenset({"waiting", "backoff"})
INNER: Final = frozenset({"child", "span", "moment"})
BAD: Final = frozenset({Status.FAILED, "worker_lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One row."""

    kind: Literal["waiting", "backoff", "attempt", "moment", "child", "span"]
    """Waiting and back-off are idle; a moment has no length."""
    label: str
    since: datetime
    until: datetime | None = None
    """None: it goes on."""
    status: str = ""
    note: str = ""
    """What else to know, as the error."""
    worker: str = ""
    worker_url: str = ""
    url: str = ""
    """Of the label: the child run, the attempt's log."""
    lost_at: datetime | None = None
    """When its worker was last heard of; from then on its bar is hatched."""

    def end(self, now: datetime) -> datetime:
        """Return until when its bar goes."""
        return max(self.since, self.until or now)


def drawn(id: str, phases: Sequence[Phase], *, now: datetime, more_url: str = "") -> SafeString:
    """Return the table; inner ones beyond MOST are counted in one row, which ``more_url`` leads on from."""
    if not phases:
        return nothing(_("Nothing is on record about this run any more."))
    since = min(phase.since for phase in phases)
    until = max(phase.end(now) for phase in phases)
    busy = [(phase.since, phase.end(now)) for phase in phases if phase.kind not in IDLE]
    along = axis(since, until, busy=busy)
    shown, left = _folded(phases)
    rows = [_row(id, phase, along, start=since, now=now) for phase in shown]
    if left:
        rows.append(_more(left, more_url))
    ticks = [
        tag(
            "text",
            wording.tick(seconds),
            x=share(place),
            y=12,
            text_anchor="start" if starts else "middle",
            # Where a fold ends there may be no room beside the fold's own label.
            class_="oq-label oq-odd" if starts and seconds else "oq-label",
        )
        for place, seconds, starts in along.ticks()
    ]
    folds = [
        tag("text", _("%(span)s idle") % {"span": wording.span(piece.seconds)},
            x=share((piece.left + piece.right) / 2), y=12, text_anchor="middle", class_="oq-label")
        for piece in along.pieces
        if piece.is_folded
    ]  # fmt: skip
    above = tag("svg", *ticks, *folds, width="100%", height=HEIGHT, aria_hidden="true", direction="ltr")
    axis_cell = tag(
        "th",
        tag("span", _("Time since the beginning"), class_="oq-hidden"),
        above,
        scope="col",
        class_="oq-along",
    )
    head = tag(
        "tr",
        tag("th", _("Phase"), scope="col"),
        axis_cell,
        tag("th", _("Began"), scope="col", class_="oq-number"),
        tag("th", _("Took"), scope="col", class_="oq-number"),
    )
    name = _("Timeline from %(window)s") % {"window": wording.window(since, until, seconds=True)}
    caption = tag("caption", name)
    whole = tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="oq-waterfall")
    region = tag("div", whole, class_="oq-scroll", role="region", tabindex="0", aria_label=_("Timeline"))
    return tag("div", _hatch(id), region, class_="oq-draw", id=id)


def _folded(phases: Sequence[Phase]) -> tuple[Sequence[Phase], Sequence[Phase]]:
    """Return the phases to show, and the inner ones that are left off: of very many those with errors come first."""
    inner = [phase for phase in phases if phase.kind in INNER]
    if len(inner) <= MOST:
        return phases, []
    inner.sort(key=lambda phase: phase.status not in BAD)
    main = [phase for phase in phases if phase.kind not in INNER]
    return main + inner[:MOST], inner[MOST:]


def _row(id: str, phase: Phase, along: Axis, *, start: datetime, now: datetime) -> SafeString:
    label: object = tag("a", phase.label, href=phase.url) if phase.url else phase.label
    cell: list[object] = [tag("span", label, class_="oq-step")]
    if phase.status:
        mark = wording.mark(phase.status)
        glyph = tag("span", mark.glyph, aria_hidden="true")
        cell += [" ", tag("span", glyph, " ", mark.word, class_=f"oq-state-word {mark.css}")]
    if phase.worker:
        worker = tag("a", phase.worker, href=phase.worker_url) if phase.worker_url else phase.worker
        cell += [" ", tag("span", _("on"), " ", worker, class_="oq-worker")]
    if phase.note:
        cell.append(tag("div", tag("bdi", phase.note), class_="oq-note"))
    at = phase.since.astimezone(UTC)
    began = tag(
        "time", _("+%(duration)s") % {"duration": wording.duration((phase.since - start).total_seconds(), exact=True)},
        datetime=at.isoformat(), title=f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1_000:03} UTC",
    )  # fmt: skip
    bar = tag(
        "svg",
        *_bars(id, phase, along, now=now),
        width="100%",
        height=HEIGHT,
        aria_hidden="true",
        direction="ltr",
    )
    css = "oq-inner" if phase.kind in INNER else None
    return tag(
        "tr",
        tag("th", *cell, scope="row", class_=css),
        tag("td", bar, class_="oq-along"),
        tag("td", tag("bdi", began), class_="oq-number"),
        tag("td", tag("bdi", _took(phase, now=now)), class_="oq-number"),
    )


def _took(phase: Phase, *, now: datetime) -> str:
    if phase.kind == "moment":
        return wording.NOTHING
    took = wording.duration((phase.end(now) - phase.since).total_seconds(), exact=True)
    return _("%(duration)s so far") % {"duration": took} if phase.until is None else took


def _bars(id: str, phase: Phase, along: Axis, *, now: datetime) -> list[SafeString]:
    css = wording.mark(phase.status or Status.QUEUED).css if phase.kind not in IDLE else "oq-c-queued"
    end = phase.end(now)
    parts = [_fold(piece) for piece in along.pieces if piece.is_folded]
    left, right = along.at(phase.since), along.at(end)
    if right - left < THIN:
        left = min(left, 100 - THIN)
        return [*parts, tag("rect", x=share(left), y=2, width=2, height=HEIGHT - 4, class_=f"oq-fill {css}")]
    for piece in along.pieces:
        since, until = max(piece.since, phase.since), min(piece.until, end)
        if until <= since:
            continue
        if piece.is_folded:
            parts.append(_zigzag(piece, css))
            continue
        lost = phase.lost_at if phase.lost_at is not None else until
        if since < lost:
            parts.append(_bar(along, since, min(lost, until), css=f"oq-fill {css}"))
        if lost < until:
            parts.append(
                _bar(along, max(since, lost), until, css=f"oq-hatched {css}", fill=f"url(#{id}-hatch)")
            )
    return parts


def _bar(along: Axis, since: datetime, until: datetime, *, css: str, fill: str | None = None) -> SafeString:
    left, right = along.at(since), along.at(until)
    width = share(right - left) if right - left >= THIN else "2"
    return tag("rect", x=share(left), y=2, width=width, height=HEIGHT - 4, rx=1.5, fill=fill, class_=css)


def _fold(piece: Piece) -> SafeString:
    width = share(piece.right - piece.left)
    return tag("rect", x=share(piece.left), y=0, width=width, height=HEIGHT, class_="oq-folded")


def _zigzag(piece: Piece, css: str) -> SafeString:
    points = " ".join(f"{x} {4 if x // 10 % 2 else 12}" for x in range(0, 121, 10))
    line = tag("polyline", points=points, class_="oq-zigzag", vector_effect="non-scaling-stroke")
    return tag(
        "svg", line, x=share(piece.left), y=0, width=share(piece.right - piece.left), height=HEIGHT,
        viewBox=f"0 0 120 {HEIGHT}", preserveAspectRatio="none", class_=css,
    )  # fmt: skip


def _hatch(id: str) -> SafeString:
    """Return what a lost worker's bar is filled with."""
    line = tag("path", d="M0 6L6 0", class_="oq-hatch oq-c-dead")
    pattern = tag("pattern", line, id=f"{id}-hatch", width=6, height=6, patternUnits="userSpaceOnUse")
    return tag("svg", tag("defs", pattern), width=0, height=0, aria_hidden="true", class_="oq-defs")


def _more(left: Sequence[Phase], url: str) -> SafeString:
    counts = Counter(phase.status for phase in left)
    said = _("%(count)s more: %(states)s") % {
        "count": wording.count(len(left)),
        "states": " ".join(
            f"{wording.mark(one).glyph} {wording.count(count)}" if one else wording.count(count)
            for one, count in sorted(counts.items())
        ),
    }
    label = tag("a", said, href=url) if url else said
    return tag("tr", tag("th", label, scope="row", class_="oq-inner"), tag("td", colspan=3))
