"""Runs: found by what they are, kept fresh where they stand, and acted on together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.template.loader import render_to_string
from django.utils.functional import cached_property
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from openqueue import registry
from openqueue.control import queue_access, run_lines, run_watch
from openqueue.control.search import Sought, pages, tallies
from openqueue.control.search.pages import USUAL
from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.frame.page import FOLDER
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import run_filter, run_strip, run_suggestions, run_table
from openqueue_workbench.pages.run_filter import PERIODS, Filter
from openqueue_workbench.pages.run_selection import RunSelection
from openqueue_workbench.places import PART

TABS: Final = (
    Status.RUNNING, Status.QUEUED, Status.RETRYING, Status.SCHEDULED, Status.WAITING, Status.FAILED,
    Status.COMPLETED, Status.CANCELLED, Status.EXPIRED,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """One status to choose."""

    word: str
    address: str
    is_here: bool
    count: str = ""


class RunsPage(RunSelection):
    """The list."""

    place = "run"
    template = "runs.html"
    parts = {
        "activity": Part(template="parts/run_strip.html", every="slow", late=True),
        "tabs": Part(template="parts/run_tabs.html", every="slow", late=True),
        "rows": Part(template="parts/run_rows.html", every="tick"),
    }
    open_as: dict[str, str] | None = None
    """What the rows on show are asked for again by."""

    @cached_property
    def wanted(self) -> Filter:
        """Return what the form says."""
        return Filter.of(self.request.GET)

    @cached_property
    def sought(self) -> Sought:
        """Return the search."""
        return run_filter.meant(self.wanted, caller=self.caller, clock=self.clock)

    @property
    def search(self) -> str:
        """Return the search as it would be written."""
        return run_filter.text(self.wanted)

    @cached_property
    def found(self) -> pages.Page:
        """Return the page of the list that is asked for."""
        return pages.found(self.sought, size=USUAL, at=self.at)

    @property
    def at(self) -> str:
        """Return the place in the list."""
        return self.request.GET.get("at", "")

    def context(self) -> dict[str, Any]:
        """Return the form, and the way on."""
        return {
            "wanted": self.wanted,
            "periods": [(name, label) for name, (label, _length) in PERIODS.items()],
            "queues": _with(queue_access.names(self.caller), self.wanted.queue),
            "tasks": _with(sorted(registry.index()), self.wanted.task),
            "problems": self.sought.problems,
            "suggestions": run_suggestions.of(self.caller),
            "clear": self.to.runs(),
            "older": self._to_place(self.found.older),
            "newer": self._to_place(self.found.newer),
            "bounded": not self.found.searched_all,
            "found": self.found,
            "order": run_table.order(self.found.order),
            "selection": self.selection(),
        }

    def part_activity(self) -> dict[str, Any]:
        """Count how runs ended, step by step."""
        return {"strip": run_strip.drawn(self.wanted, caller=self.caller, to=self.to, now=self.clock)}

    def part_tabs(self) -> dict[str, Any]:
        """Count what each status has, in one statement."""
        run_suggestions.refresh(self.caller)
        chosen = [Filter.of(self.wanted.query(status=status)) for status in TABS]
        counts = tallies.each([run_filter.meant(one, caller=self.caller, clock=self.clock) for one in chosen])
        tabs = [
            self._tab(status, count=_counted(number)) for status, number in zip(TABS, counts, strict=True)
        ]
        return {"tabs": [self._everything(), *tabs], "stopped": any(one.number is None for one in counts)}

    def early(self, name: str) -> SafeString:
        """Show the tabs without their counts until these are known."""
        if name != "tabs":
            return super().early(name)
        tabs = [
            self._everything(),
            *(self._tab(status) for status in TABS),
        ]
        return mark_safe(render_to_string(f"{FOLDER}/parts/run_tabs.html", {"tabs": tabs}))  # noqa: S308  (a template's)

    def part_rows(self) -> dict[str, Any] | None:
        """Read the page; or, where it is open already, its rows as they are now."""
        shown = run_table.ids(self.request.GET.get("ids", ""))
        number, new = 0, ""
        if shown:
            mark = self.request.GET.get("mark", "")
            watched = run_watch.since(self.sought, shown, mark=mark, caller=self.caller)
            runs = watched.runs
            number = watched.new
            if number:
                new = wording.count(number, bound=run_watch.MOST if watched.or_more else None)
        else:
            runs = self.found.runs
            mark = self.found.mark
        lines = run_lines.read(runs, caller=self.caller)
        seen = run_table.seen(lines, new)
        if shown and seen and seen == self.request.GET.get("seen"):
            return None
        self.open_as = {"ids": ".".join(run.id.hex for run in runs), "mark": mark, "seen": seen}
        return {
            "rows": run_table.rows(lines, to=self.to, now=self.clock),
            "new": new,
            "new_number": number,
            "newest": self.to.runs(**self.wanted.query()),
            "found": None if shown else self.found,
            "wanted": self.wanted,
            "window": self.wanted.said,
            "clear": self.to.runs(),
            "week": self._to_week(),
            "selectable": bool(self.selection()),
        }

    @property
    def address(self) -> str:
        """Return the list's address, without what an open one is asked for again by."""
        return self.to.runs(**self.wanted.query(), at=self.at)

    def part_address(self, name: str) -> str:
        """Return where a part is asked for: the rows by their ids, so that none moves."""
        more = self.open_as or {} if name == "rows" else {}
        return self.to.runs(**self.wanted.query(), at=self.at, **more, **{PART: name})

    def _everything(self) -> Tab:
        return Tab(word=_("All"), address=self._to_status(""), is_here=not self.wanted.status)

    def _tab(self, status: str, *, count: str = "") -> Tab:
        return Tab(
            word=wording.mark(status).word,
            address=self._to_status(status),
            is_here=self.wanted.status == status,
            count=count,
        )

    def _to_status(self, status: str) -> str:
        return self.to.runs(**self.wanted.query(status=status))

    def _to_place(self, place: str | None) -> str:
        return self.to.runs(**self.wanted.query(), at=place) if place else ""

    def _to_week(self) -> str:
        if self.wanted.chosen in {"7d", "all", "own"}:
            return ""
        return self.to.runs(**self.wanted.query(period="7d", since="", before=""))


def _counted(found: tallies.Counted) -> str:
    if found.number is None:
        return wording.NOTHING
    return wording.count(found.number, bound=found.number if found.or_more else None)


def _with(known: Sequence[str], chosen: str) -> list[str]:
    return [*known] if not chosen or chosen in known else [chosen, *known]
