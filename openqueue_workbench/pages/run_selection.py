"""What can be done to several runs at once: to those that are ticked, or to all that a search finds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import bulk_acts, means
from openqueue.control.bulk import BulkFacts
from openqueue.control.callers import Right
from openqueue.errors import WrongState
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Act, Field, Question, Told, act
from openqueue_workbench.pages import bulk_words
from openqueue_workbench.pages.ticked import ALL, Ticked


class RunSelection(Ticked, ABC):
    """Acts on several runs; a subclass tells which its search finds."""

    @property
    @abstractmethod
    def search(self) -> str:
        """Return the search, with whatever is wrong with it: an act on many runs is refused then."""

    def can(self, act: Act) -> bool:
        """Leave out what no runtime can."""
        return act.name != "some_promote" or means.delays()

    @act(gettext_lazy("Retry"), right=Right.RETRY)
    def some_retry(self, on: str, fields: Mapping[str, str]) -> Told:
        """Start new cycles."""
        return self._do("retry", on, fields)

    @some_retry.before
    def ask_retry(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first."""
        text = _("Each starts anew with all its attempts. Runs that have not ended are left alone.")
        return self._ask("retry", on, text)

    @act(gettext_lazy("Cancel"), right=Right.CANCEL)
    def some_cancel(self, on: str, fields: Mapping[str, str]) -> Told:
        """Cancel."""
        return self._do("cancel", on, fields)

    @some_cancel.before
    def ask_cancel(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first."""
        text = _(
            "What waits is cancelled at once; what runs is asked to stop. Runs that have ended are left alone."
        )
        return self._ask("cancel", on, text)

    @act(gettext_lazy("Run now"), right=Right.PROMOTE)
    def some_promote(self, on: str, fields: Mapping[str, str]) -> Told:
        """Make due."""
        return self._do("promote", on, fields)

    @some_promote.before
    def ask_promote(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first."""
        return self._ask("promote", on, _("Delayed runs become due now. All others are left alone."))

    @act(gettext_lazy("Discard"), right=Right.DISCARD, is_grave=True)
    def some_discard(self, on: str, fields: Mapping[str, str]) -> Told:
        """Delete."""
        return self._do("discard", on, fields)

    @some_discard.before
    def ask_discard(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first."""
        text = _(
            "They are deleted with their history and logs, and cannot be brought back. Runs that have not ended, and "
            "steps of flows, are left alone."
        )
        return self._ask("discard", on, text)

    def _ask(self, name: str, on: str, text: str) -> Question:
        facts: list[tuple[Any, Any]] = []
        if on == ALL:
            seen = bulk_acts.preview(name, self.search, caller=self.caller)
            if seen.number is None:
                number = _("so many that counting took too long")
            else:
                number = wording.count(seen.number, bound=seen.number if seen.or_more else None)
            facts = [(_("Search"), seen.search), (_("Runs"), number)]
            if not seen.inline:
                text += " " + _("It is done in the background: you can close the page, and stop it.")
            if seen.number == 0:
                raise WrongState(
                    _("No run matches %(search)s.") % {"search": seen.search}, code="nothing_found"
                )
            is_one = seen.number == 1 and not seen.or_more
            title = bulk_words.asked(name, None if seen.number is None else number, one=is_one)
        else:
            runs = self._chosen(on)
            title = bulk_words.asked(name, wording.number(len(runs)), one=len(runs) == 1)
        return Question(
            title=title,
            text=text,
            facts=facts,
            fields=[Field(name="reason", label=_("Why (kept on record)"))],
        )

    def _do(self, name: str, on: str, fields: Mapping[str, str]) -> Told:
        search = self.search if on == ALL else f"id:{','.join(self._chosen(on))}"
        done = bulk_acts.ask(name, search, caller=self.caller, reason=fields.get("reason", ""))
        if done.finished_at is None:
            return Told(text=bulk_words.begun(done), go_to=self.to.of("bulk_change", done.id))
        return told(done)

    def _chosen(self, on: str) -> list[str]:
        runs = [run for run in on.split() if len(run) == 32 and run.isalnum()]
        if not runs:
            raise WrongState(_("No run was selected: tick some first."), code="nothing_selected")
        return runs


def told(done: BulkFacts) -> Told:
    """Say what came of an act that is through."""
    is_clean = done.acted and not done.skipped
    return Told(text=bulk_words.done(done), level="success" if is_clean else "warning")
