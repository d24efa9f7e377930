"""Logs: what the code of runs logged, across runs, newest first."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue import registry
from openqueue.control import logs
from openqueue.control.logs import Line
from openqueue_workbench import wording
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import periods

SIZE = 100
PERIODS: Final = ("15m", "1h", "24h", "7d")
LEVELS: Final[Mapping[str, tuple[int, str | Promise]]] = {
    "": (0, gettext_lazy("any")),
    "info": (logging.INFO, gettext_lazy("info and above")),
    "warning": (logging.WARNING, gettext_lazy("warning and above")),
    "error": (logging.ERROR, gettext_lazy("error and above")),
}
COLOURS: Final = ((logging.ERROR, "failed"), (logging.WARNING, "retrying"), (logging.INFO, "running"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line as a row."""

    line: Line
    address: str
    level: str
    css: str


class LogsPage(Page):
    """Lines of a period."""

    place = "log"
    template = "logs.html"
    parts = {"lines": Part(template="parts/log_lines.html", every="slow")}

    @property
    def period(self) -> str:
        """Return how far it reaches back."""
        asked = self.request.GET.get("period", "1h")
        return asked if asked in PERIODS else "1h"

    def context(self) -> dict[str, Any]:
        """Return the filter."""
        asked = self.request.GET
        return {
            "periods": [(name, periods.PERIODS[name][0]) for name in PERIODS],
            "levels": [(name, label) for name, (_number, label) in LEVELS.items()],
            "kept": kept(),
            "known_tasks": sorted(registry.index()),
            "level": asked.get("level", ""),
            "task": asked.get("task", ""),
            "run": asked.get("run", ""),
            "text": asked.get("text", ""),
            "cleared": self.to.of("log"),
        }

    def pace(self, name: str) -> str:
        """Follow the newest lines only."""
        return "" if "at" in self.request.GET else super().pace(name)

    def part_lines(self) -> dict[str, Any]:
        """Read a page."""
        asked = self.request.GET
        run = periods.run_id(asked.get("run"))
        if asked.get("run") and run is None:
            return {"problem": _("Write the whole id of a run, as its page shows it.")}
        level, _label = LEVELS.get(asked.get("level", ""), (0, ""))
        at = periods.place(asked.get("at"))
        number = periods.number(at[1]) if at else None
        found = logs.find(
            period=periods.PERIODS[self.period][1],
            level=level or None,
            task_id=asked.get("task", "").strip() or None,
            run=run,
            text=asked.get("text", "").replace("\0", "").strip() or None,
            beyond=(at[0], number) if at and number is not None else None,
            limit=SIZE,
            caller=self.caller,
        )
        return {
            "rows": [self.row(line) for line in found.lines],
            "window": wording.window(found.since, found.before),
            "stopped": found.stopped,
            "searched_all": found.searched_all,
            "examined": logs.EXAMINED,
            "is_narrow": any(asked.get(name) for name in ("level", "task", "run", "text")),
            "wider": self.address_with(period="7d", at=None) if self.period != "7d" else "",
            "older": self.address_with(at=periods.placed(found.older)) if found.older else "",
            "newest": self.address_with(at=None) if at else "",
        }

    def row(self, line: Line) -> Row:
        """Return a line with where its run is."""
        css = next((css for least, css in COLOURS if line.level >= least), "queued")
        return Row(
            line=line,
            address=self.to.run(line.run_id, tab="logs"),
            level=logging.getLevelName(line.level).capitalize(),
            css=f"oq-c-{css}",
        )


def kept() -> str:
    """Say how long lines are kept."""
    span = logs.kept()
    if span is None:
        return _("Kept for ever")
    if span % timedelta(days=1):
        return _("Kept for %(span)s") % {"span": wording.duration(span.total_seconds())}
    return _("Kept for %(days)s days") % {"days": wording.number(span.days)}
