"""Acts on many runs: how they stand, and one of them while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import bulk_acts
from openqueue.control.bulk import BulkFacts
from openqueue.control.callers import Right
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import bulk_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One operation as a row."""

    facts: BulkFacts
    title: str
    state: str
    css: str
    address: str
    done: str


def line(page: Page, facts: BulkFacts) -> Line:
    """Return one as a row."""
    word, css = bulk_words.STATES[facts.state]
    return Line(
        facts=facts,
        title=bulk_words.title(facts),
        state=str(word),
        css=css,
        address=page.to.of("bulk_change", facts.id),
        done=bulk_words.done(facts),
    )


class BulkListPage(Page):
    """The newest of them."""

    place = "bulk"
    template = "bulk_list.html"
    parts = {"bulks": Part(template="parts/bulk_table.html", every="tick")}

    def part_bulks(self) -> dict[str, Any]:
        """Read them."""
        return {"lines": [line(self, facts) for facts in bulk_acts.listing(caller=self.caller)]}


class BulkPage(Page):
    """One of them."""

    place = "bulk"
    template = "bulk.html"
    parts = {"bulk": Part(template="parts/bulk.html", every="fast")}

    @property
    def operation(self) -> UUID:
        """Return which."""
        found: UUID = self.kwargs["operation"]
        return found

    @cached_property
    def facts(self) -> BulkFacts:
        """Return how it stands."""
        return bulk_acts.show(self.operation, caller=self.caller)

    def title(self) -> str:
        """Return what it does."""
        return bulk_words.title(self.facts)

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all of them."""
        return [(self.to.of("bulk"), str(self.where.title))]

    def pace(self, name: str) -> str:
        """Ask for nothing again once it is through."""
        return "" if self.facts.finished_at is not None else super().pace(name)

    def part_bulk(self) -> dict[str, Any]:
        """Read it."""
        facts = self.facts
        may = self.caller.may(bulk_acts.RIGHTS[facts.act])
        return {
            "one": line(self, facts),
            "facts": facts,
            "expected": bulk_words.number(facts),
            "share": None if facts.share is None else round(100 * facts.share, 1),
            "skipped": [bulk_words.why(code, count) for code, count in sorted(facts.skipped.items())],
            "can_stop": may and facts.finished_at is None,
            "can_resume": may and facts.state == "interrupted",
            "to_runs": self.to.runs(q=facts.search, period="all"),
            "to_run": self.to.run(facts.run_id) if facts.run_id else "",
        }

    @act(gettext_lazy("Stop"), right=Right.READ)
    def stop(self, on: str, fields: Mapping[str, str]) -> Told:
        """End it behind the batch that it is at; the right is that to the act itself."""
        bulk_acts.stop(self.operation, caller=self.caller, reason=fields.get("reason", ""))
        return self._now(_("It is stopped. What was done stays done."))

    @stop.before
    def ask_stop(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first."""
        return Question(
            title=_("Stop it?"),
            text=_(
                "It ends behind the batch that it is at. What was done stays done; the rest is left alone."
            ),
            fields=[Field(name="reason", label=_("Why (kept on record)"))],
        )

    @act(gettext_lazy("Go on"), right=Right.READ)
    def resume(self, on: str, fields: Mapping[str, str]) -> Told:
        """Go on with one that was interrupted; the right is that to the act itself."""
        bulk_acts.resume(self.operation, caller=self.caller)
        return self._now(_("It goes on."))

    def _now(self, text: str) -> Told:
        self.__dict__.pop("facts", None)
        return Told(text=text)
