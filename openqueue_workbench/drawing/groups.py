"""The cells of a flow's graph: steps, and where there are very many, groups of those that have the same name."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.drawing.layout import layers_of

MOST_IN_A_LAYER: Final = 60
MOST_IN_ALL: Final = 300
NAMED: Final = 5
"""Failed steps of a group that its description names."""
NUMBER: Final = re.compile(r"[\s_.:#-]*(?:\[\d+\]|\(\d+\)|\d+)$")
"""What tells siblings apart: resize-7 and resize-8 are both resize."""
WORST: Final = (
    Status.FAILED, Status.EXPIRED, Status.CANCELLED, Status.RETRYING, Status.RUNNING, Status.QUEUED,
    Status.SCHEDULED, Status.WAITING, Status.COMPLETED,
)  # fmt: skip
"""What a group is shown as: the first of these that one of its steps has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(ABC):
    """What one place of the graph shows."""

    key: str
    name: str
    status: str
    url: str = ""
    after: Sequence[str] = ()
    """Keys of what it waits or waited for."""

    @abstractmethod
    def said(self) -> str:
        """Return the second line."""

    @abstractmethod
    def told(self) -> str:
        """Return everything, for who points at it or hears it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Cell):
    """One step."""

    seconds: float | None = None
    """How long it took, or takes so far."""
    note: str = ""
    """What to know instead of a time: "blocked by chart", "attempt 3/3"."""

    def said(self) -> str:
        """Return its state, and its note or time."""
        more = self.note or ("" if self.seconds is None else wording.duration(self.seconds))
        word = wording.mark(self.status).word
        return f"{word} · {more}" if more else word

    def told(self) -> str:
        """Return its full name and all that is known of it."""
        return f"{self.name} {self.said()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Cell):
    """Steps of one layer that have the same name but for a number."""

    steps: Sequence[Step]

    def said(self) -> str:
        """Return how many stand how, the worst first."""
        counts = Counter(step.status for step in self.steps)
        return " ".join(
            f"{wording.mark(one).glyph} {wording.count(counts[one])}" for one in WORST if counts[one]
        )

    def told(self) -> str:
        """Return the same in words, with the names of those that failed first."""
        failed = [step.name for step in self.steps if step.status == Status.FAILED]
        counts = Counter(step.status for step in self.steps)
        words = [
            f"{wording.count(counts[one])} {wording.mark(one).word.lower()}" for one in WORST if counts[one]
        ]
        said = f"{self.name} × {wording.count(len(self.steps))}: {', '.join(words)}"
        if failed:
            more = [_("%(count)s more") % {"count": len(failed) - NAMED}] if len(failed) > NAMED else []
            said = _("Failed: %(names)s. %(rest)s") % {
                "names": ", ".join(failed[:NAMED] + more),
                "rest": said,
            }
        return said


def gathered(
    steps: Sequence[Step], *, expanded: Collection[str] = (), opens: Callable[[str], str] | None = None
) -> list[Step | Group]:
    """Return the steps, those of crowded layers in groups but for ``expanded``; ``opens`` makes the link of a group.

    Whether they are grouped depends on the graph alone.

    Raises:
        CycleFound: some of them wait for each other.
    """
    layer = layers_of(
        [step.key for step in steps], [(parent, step.key) for step in steps for parent in step.after]
    )
    sizes = Counter(layer.values())
    crowded = (
        set(sizes) if len(steps) > MOST_IN_ALL else {one for one in sizes if sizes[one] > MOST_IN_A_LAYER}
    )
    if not crowded:
        return list(steps)
    families: dict[tuple[int, str], list[Step]] = {}
    for step in steps:
        families.setdefault((layer[step.key], family(step.name)), []).append(step)
    cell_of = {
        step.key: f"{name}@{number}"
        for (number, name), members in families.items()
        for step in members
        if number in crowded and len(members) > 1 and f"{name}@{number}" not in expanded
    }
    cells: dict[str, Step | Group] = {}
    for step in steps:
        key = cell_of.get(step.key, step.key)
        if key in cells:
            continue
        members = families[layer[step.key], family(step.name)] if step.key in cell_of else [step]
        above = (cell_of.get(parent, parent) for member in members for parent in member.after)
        after = tuple(dict.fromkeys(above))
        cells[key] = _cell(key, members, after, is_group=step.key in cell_of, opens=opens)
    return list(cells.values())


def family(name: str) -> str:
    """Return what siblings' names have in common."""
    return NUMBER.sub("", name) or name


def _cell(
    key: str,
    members: Sequence[Step],
    after: Sequence[str],
    *,
    is_group: bool,
    opens: Callable[[str], str] | None,
) -> Step | Group:
    if not is_group:
        (step,) = members
        return Step(
            key=key,
            name=step.name,
            status=step.status,
            url=step.url,
            after=after,
            seconds=step.seconds,
            note=step.note,
        )
    there = {step.status for step in members}
    status = next((one.value for one in WORST if one in there), members[0].status)
    url = opens(key) if opens else ""
    return Group(key=key, name=family(members[0].name), status=status, url=url, after=after, steps=members)
