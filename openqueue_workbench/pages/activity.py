"""Activity: what operators did to what, when and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.utils.translation import gettext as _

from openqueue.control import activity
from openqueue.control.activity import Entry
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import periods

SIZE = 50
LONGEST: Final = 160
"""Letters of a value, before and after."""
FIELDS: Final = ("actor", "act", "object")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One act as a row."""

    entry: Entry
    address: str
    """The page of what it was done to; empty where there is none."""
    changes: list[tuple[str, str, str]]
    """What, before, and after."""
    by_actor: str
    by_act: str
    by_object: str


class ActivityPage(Page):
    """All acts, newest first."""

    place = "activity"
    template = "activity.html"
    parts = {"acts": Part(template="parts/activity.html", every="slow")}

    @property
    def asked(self) -> dict[str, str]:
        """Return the filter."""
        return {name: self.request.GET.get(name, "").replace("\0", "").strip() for name in FIELDS}

    def context(self) -> dict[str, Any]:
        """Return the filter, with how a moment is written."""
        asked = self.request.GET
        return {
            **self.asked,
            "since": asked.get("since", ""),
            "before": asked.get("before", ""),
            "is_filtered": any(asked.get(name) for name in (*FIELDS, "since", "before")),
            "cleared": self.to.of("activity"),
            "problem": any(
                asked.get(name) and periods.moment(asked.get(name)) is None for name in ("since", "before")
            ),
        }

    def part_acts(self) -> dict[str, Any]:
        """Read a page."""
        asked = self.request.GET
        at = periods.number(asked.get("at"))
        wanted: dict[str, Any] = {name: value for name, value in self.asked.items() if value}
        found = activity.find(
            **wanted,
            since=periods.moment(asked.get("since")),
            before=periods.moment(asked.get("before")),
            before_id=at,
            limit=SIZE,
        )
        return {
            "rows": [self.row(entry) for entry in found.entries],
            "is_filtered": self.context()["is_filtered"],
            "older": self.address_with(at=str(found.older)) if found.older else "",
            "newest": self.address_with(at=None) if at is not None else "",
        }

    def row(self, entry: Entry) -> Row:
        """Return an act with what leads on from it."""
        return Row(
            entry=entry,
            address=self.address_of(entry.object),
            changes=list(changes(entry.before, entry.after)),
            by_actor=self.address_with(actor=entry.actor, at=None),
            by_act=self.address_with(act=entry.act, at=None),
            by_object=self.address_with(object=entry.object, at=None),
        )

    def address_of(self, thing: str) -> str:
        """Return the page of a thing, by its kind and its name."""
        kind, _space, name = thing.partition(" ")
        if kind == "queue" and name and "/" not in name:
            return self.to.queue(name)
        if kind == "error" and periods.number(name) is not None:
            return self.to.of("error_change", int(name))
        run = periods.run_id(name)
        pages = {"run": "run_change", "flow": "flow_change", "bulk": "bulk_change", "worker": "worker_change"}
        if kind in pages and isinstance(run, UUID):
            address = self.to.of(pages[kind], run)
        elif kind == "schedule" and periods.number(name) is not None:
            address = self.to.of("schedule_change", int(name))
        else:
            return ""
        return "" if address == "#" else address


def changes(before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    """Return what an act changed: the name of each value, before and after."""
    old = before if isinstance(before, dict) else {} if before is None else {"": before}
    new = after if isinstance(after, dict) else {} if after is None else {"": after}
    for name in dict.fromkeys([*old, *new]):
        yield str(name), said(old.get(name)), said(new.get(name))


def said(value: Any) -> str:
    """Return a value to read."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
