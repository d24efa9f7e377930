"""The outbox: what waits to be sent to a broker, what could not be sent, and sending it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from openqueue.control import outbox
from openqueue.control.callers import Right
from openqueue.control.outbox import OutboxCounts, OutboxRow
from openqueue.errors import UnclearRun, UnsupportedCapability
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import periods

SIZE = 50
STATES: Final[Mapping[str, Promise]] = {
    "": gettext_lazy("All"),
    outbox.FAILED: gettext_lazy("Failed to send"),
    outbox.PENDING: gettext_lazy("Not sent yet"),
    outbox.ANNOUNCED: gettext_lazy("Sent, not taken"),
    outbox.LATER: gettext_lazy("Due later"),
}
CSS: Final = {
    outbox.FAILED: ("✕", "failed"),
    outbox.PENDING: ("○", "retrying"),
    outbox.ANNOUNCED: ("→", "running"),
    outbox.LATER: ("◷", "queued"),
}
TAKEN: Final = gettext_lazy("Due")
"""Of a runtime that sends nothing: a worker takes it from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run as a row."""

    row: OutboxRow
    address: str
    word: str
    glyph: str
    css: str
    is_sent: bool
    """Its runtime sends messages."""
    why_not: str
    """Why it cannot be sent now; empty: it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """How the outbox of one runtime stands."""

    counts: OutboxCounts
    numbers: Mapping[str, tuple[str, str]]
    """By state: how many, and where they are listed."""

    @property
    def unsent(self) -> int:
        """Return how many are due and not sent."""
        return self.counts.pending + self.counts.failed


class OutboxPage(Page):
    """All of it."""

    place = "outbox"
    template = "outbox.html"
    parts = {
        "runtimes": Part(template="parts/outbox_runtimes.html", every="steady", late=True),
        "rows": Part(template="parts/outbox_rows.html", every="steady"),
    }

    @property
    def state(self) -> str:
        """Return which rows are listed; empty: all."""
        asked = self.request.GET.get("state", "")
        return asked if asked in STATES else ""

    @property
    def queue(self) -> str | None:
        """Return the only queue that is listed."""
        return self.request.GET.get("queue", "").replace("\0", "").strip() or None

    @property
    def runtime(self) -> str | None:
        """Return the only runtime that is listed."""
        return self.request.GET.get("runtime", "").replace("\0", "").strip() or None

    def context(self) -> dict[str, Any]:
        """Return the filter."""
        return {
            "choices": [
                (self.address_with(state=name or None, at=None), label, name == self.state)
                for name, label in STATES.items()
                if outbox.carriers() or name in {"", outbox.LATER}
            ],
            "cleared": self.to.of("outbox"),
        }

    def part_runtimes(self) -> dict[str, Any]:
        """Read how the outbox of each runtime stands."""
        return {"cards": [self.card(counts) for counts in outbox.counts(queues=self.caller.queues)]}

    def card(self, counts: OutboxCounts) -> Card:
        """Return one runtime, each number with where its rows are."""
        return Card(
            counts=counts,
            numbers={
                state: (
                    wording.count(getattr(counts, state), bound=counts.counted_to),
                    self.to.of("outbox", runtime=counts.runtime, state=state),
                )
                for state in outbox.STATES
            },
        )

    def part_rows(self) -> dict[str, Any]:
        """Read a page."""
        after = periods.run_id(self.request.GET.get("at"))
        found = outbox.find(
            state=self.state or None,
            queue=self.queue,
            runtime=self.runtime,
            queues=self.caller.queues,
            after=after,
            limit=SIZE,
        )
        carriers = outbox.carriers()
        return {
            "lines": [self.line(row, carriers=carriers) for row in found.rows],
            "stopped": found.stopped,
            "sends": bool(carriers),
            "older": self.address_with(at=str(found.next)) if found.next else "",
            "older_name": _("Later ones"),
            "newest": self.address_with(at=None) if after else "",
            "newest_name": _("Oldest"),
        }

    def line(self, row: OutboxRow, *, carriers: list[str]) -> Line:
        """Return a row with how it stands, in a word."""
        glyph, css = CSS[row.state]
        is_sent = row.runtime in carriers
        why_not = ""
        if row.state == outbox.LATER:
            why_not = _("It is not due yet.")
        elif row.state == outbox.ANNOUNCED:
            why_not = _("It was sent; a worker takes it when it has room.")
        word = STATES[row.state] if is_sent or row.state == outbox.LATER else TAKEN
        if not is_sent and row.state != outbox.LATER:
            glyph, css = "○", "queued"
        return Line(
            row=row, address=self.to.run(row.run_id), word=str(word), glyph=glyph, css=f"oq-c-{css}",
            is_sent=is_sent, why_not=why_not,
        )  # fmt: skip

    @act(gettext_lazy("Publish now"), right=Right.FLUSH)
    def publish(self, on: str, fields: Mapping[str, str]) -> Told:
        """Have one run sent at once."""
        self.need_carrier()
        run = periods.run_id(on)
        if run is None:
            raise UnclearRun(f"There is no run {on[:60]!r}.")
        sent = outbox.flush(
            runs=[run], queues=self.caller.queues, actor=self.caller.actor, reason=fields.get("reason", "")
        )
        if not sent:
            raise ValueError(
                _(
                    "Run %(run)s waits for nothing that could be hurried: it was sent, was taken, is due later or "
                    "just now, or its queue is paused."
                )
                % {"run": run}
            )
        return Told(text=_("Run %(run)s is sent within a second or two.") % {"run": run})

    @act(gettext_lazy("Publish all now"), right=Right.FLUSH)
    def publish_all(self, _on: str, fields: Mapping[str, str]) -> Told:
        """Have all that is due and unsent sent at once, as the filter finds it."""
        self.need_carrier()
        sent = outbox.flush(
            queue=self.queue,
            runtime=self.runtime,
            queues=self.caller.queues,
            actor=self.caller.actor,
            reason=fields.get("reason", ""),
        )
        if not sent:
            return Told(
                text=_("Nothing waited for its next try: what is due is sent already."), level="warning"
            )
        text = ngettext(
            "%(count)s run is sent within a second or two.",
            "%(count)s runs are sent within a few seconds.",
            sent,
        )
        return Told(text=text % {"count": wording.number(sent)})

    @publish_all.before
    def ask_publish_all(self, _on: str, _fields: Mapping[str, str]) -> Question:
        """Say how many wait."""
        self.need_carrier()
        facts = [
            (_("Queue"), self.queue or _("all, but for paused ones")),
            (_("Runtime"), self.runtime or _("all that send")),
        ]
        if self.queue is None:
            facts += [
                (
                    _("Unsent on %(runtime)s") % {"runtime": one.runtime},
                    wording.count(one.pending + one.failed, bound=one.counted_to),
                )
                for one in outbox.counts(queues=self.caller.queues)
                if self.runtime in {None, one.runtime}
            ]
        return Question(
            title=_("Publish all that is due and unsent?"),
            text=_(
                "The sweep looks at it at once instead of at its next try. Nothing is sent twice by that."
            ),
            facts=facts,
            fields=[Field(name="reason", label=_("Why"))],
        )

    def need_carrier(self) -> None:
        """Go on only where something is sent at all.

        Raises:
            UnsupportedCapability: no runtime sends messages.
        """
        if not outbox.carriers():
            raise UnsupportedCapability(
                "No runtime here sends messages: workers take runs from the database itself. There is nothing to "
                "publish."
            )
