"""What a run's code logged: filtered, followed while it goes on, and taken away as text."""

from __future__ import annotations

import logging
from typing import Any, Final

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.functional import cached_property
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy

from openqueue.control import run_logs
from openqueue.control.callers import Right
from openqueue.control.run_logs import MOST, LogPage
from openqueue_workbench.frame.page import FOLDER
from openqueue_workbench.pages.run_controls import RunControls
from openqueue_workbench.places import PART

LEVELS: Final = {
    "": gettext_lazy("all"),
    str(logging.INFO): gettext_lazy("info and above"),
    str(logging.WARNING): gettext_lazy("warnings and above"),
    str(logging.ERROR): gettext_lazy("errors"),
}
MOST_TAKEN: Final = 20_000
"""Lines of one download."""


class RunLog(RunControls):
    """The log of a run's page. Lines are only ever added: the part that asks again asks for what came after."""

    @property
    def level(self) -> str:
        """Return from which level on."""
        given = self.request.GET.get("level", "")
        return given if given in LEVELS else ""

    @property
    def text(self) -> str:
        """Return what lines must contain."""
        return self.request.GET.get("text", "").strip()[:200]

    @property
    def after(self) -> int:
        """Return the place of the last line that is there already."""
        given = self.request.GET.get("after", "")
        return int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else 0

    @cached_property
    def lines(self) -> LogPage:
        """Return the next lines."""
        return self._lines(after=self.after)

    def log_form(self) -> dict[str, Any]:
        """Return the filters."""
        address = self.to.run(self.run_id, tab="logs", level=self.level, text=self.text, download="1")
        return {
            "levels": LEVELS.items(), "level": self.level, "text": self.text, "download": address,
            "here": self.to.run(self.run_id),
        }  # fmt: skip

    def part_log(self) -> dict[str, Any] | None:
        """Return the lines that are new."""
        self.caller.needs(Right.DATA)
        is_first = PART not in self.request.GET
        if not self.lines.lines and not is_first and not self.is_over:
            return None
        return {"page_of": self.lines, "is_first": is_first}

    def render_part(self, name: str, *, fresh: bool = False) -> SafeString | None:
        """Return the log's lines without a frame around them: they are put before what asks for the next."""
        if name != "log":
            return super().render_part(name, fresh=fresh)
        found = self.part_log()
        if found is None:
            return None
        goes_on = not self.is_over
        address = self.to.run(
            self.run_id, tab="logs", level=self.level, text=self.text, after=self.lines.last, _part="log"
        )
        more = self.to.run(self.run_id, tab="logs", level=self.level, text=self.text, after=self.lines.next)
        context = {
            **found, "goes_on": goes_on, "ask": address, "more": more if self.lines.next and not goes_on else "",
        }  # fmt: skip
        return mark_safe(render_to_string(f"{FOLDER}/{self.parts[name].template}", context))  # noqa: S308  (a template's)

    def download(self) -> HttpResponse:
        """Answer with the lines as text."""
        self.caller.needs(Right.DATA)
        written: list[str] = []
        after: int | None = 0
        while after is not None and len(written) < MOST_TAKEN:
            found = self._lines(after=after)
            written += [
                f"{line.at:%Y-%m-%d %H:%M:%S.%f}Z #{line.attempt} {logging.getLevelName(line.level)} {line.text}\n"
                for line in found.lines
            ]
            after = found.next
        if after is not None:
            written.append(f"-- the first {len(written)} lines; there are more --\n")
        return HttpResponse(
            "".join(written),
            content_type="text/plain; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="run-{self.run_id}.log"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _lines(self, *, after: int) -> LogPage:
        return run_logs.find(
            self.run_id,
            level=int(self.level) if self.level else None,
            text=self.text or None,
            after=after,
            limit=MOST,
            queues=self.caller.queues,
        )
