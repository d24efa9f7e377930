"""What can be done to the dead letters that are ticked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NoReturn

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from openqueue.control import bulk_acts, dead_letters
from openqueue.control.callers import Right
from openqueue.errors import WrongState
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Act, Field, Question, Told, act
from openqueue_workbench.pages import bulk_told, bulk_words, periods
from openqueue_workbench.pages.ticked import Ticked

RUNS, ALIKE, MESSAGES, DISCARDED = "run", "alike", "message", "discarded"
"""What is listed."""
CAN: Final[Mapping[str, frozenset[str]]] = {
    RUNS: frozenset({"some_requeue", "some_discard"}),
    MESSAGES: frozenset({"some_discard"}),  # no runtime sends one once more: its body is not kept
}


class DeadSelection(Ticked, ABC):
    """Acts on several dead letters, all of the kind that the page lists."""

    place = "deadletter"

    @property
    @abstractmethod
    def kind(self) -> str:
        """Return what is listed."""

    def can(self, act: Act) -> bool:
        """Leave out what cannot be done to this kind."""
        return act.name in CAN.get(self.kind, ())

    @act(gettext_lazy("Requeue selected"), right=Right.RETRY)
    def some_requeue(self, on: str, fields: Mapping[str, str]) -> Told:
        """Begin failed runs anew."""
        if self.kind != RUNS:
            dead_letters.requeue(self._letters(on)[0], caller=self.caller)  # says why it cannot
        return self._do("retry", on, fields)

    @some_requeue.before
    def ask_some_requeue(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say how many they are."""
        number = len(self._runs(on) if self.kind == RUNS else self._letters(on))
        return Question(
            title=_titled(
                ngettext("Requeue 1 failed run?", "Requeue %(count)s failed runs?", number), number
            ),
            text=_("Each begins a new cycle of attempts, with the same arguments."),
            fields=[Field(name="reason", label=_("Why"))],
        )

    @act(gettext_lazy("Discard selected"), right=Right.DISCARD, is_grave=True)
    def some_discard(self, on: str, fields: Mapping[str, str]) -> Told:
        """Delete failed runs, or take messages off the list."""
        if self.kind == RUNS:
            return self._do("discard", on, fields)
        done = dead_letters.discard_some(
            self._letters(on), caller=self.caller, reason=fields.get("reason", "")
        )
        text = bulk_words.told("discard", done.acted, done.skipped)
        return Told(text=text, level="success" if done.acted and not done.skipped else "warning")

    @some_discard.before
    def ask_some_discard(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say what is lost."""
        if self.kind == RUNS:
            number = len(self._runs(on))
            title = ngettext("Discard 1 failed run?", "Discard %(count)s failed runs?", number)
            text = _("They are deleted with their history and their logs. This cannot be undone.")
        else:
            number = len(self._letters(on))
            title = ngettext("Discard 1 message?", "Discard %(count)s messages?", number)
            text = _("They go to the discarded ones, with your name and why. Nothing is sent or deleted.")
        return Question(
            title=_titled(title, number), text=text, fields=[Field(name="reason", label=_("Why"))]
        )

    def _do(self, name: str, on: str, fields: Mapping[str, str]) -> Told:
        """Act on those that are failed still: one that went on meanwhile is no dead letter."""
        runs = self._runs(on)
        search = f"{dead_letters.SEARCH} id:{','.join(runs)}"
        done = bulk_acts.ask(name, search, caller=self.caller, reason=fields.get("reason", ""))
        if done.finished_at is not None:
            revived = len(runs) - done.acted - sum(done.skipped.values())
            done = replace(
                done, skipped={**done.skipped, **({bulk_words.REVIVED: revived} if revived else {})}
            )
        return bulk_told.told(self, done)

    def _runs(self, on: str) -> list[str]:
        found = [run.hex for run in dict.fromkeys(map(periods.run_id, on.split())) if run is not None]
        return found or _nothing()

    def _letters(self, on: str) -> list[int]:
        numbers = [periods.number(one.removeprefix(f"{MESSAGES}-")) for one in on.split()]
        return [number for number in dict.fromkeys(numbers) if number is not None] or _nothing()


def _nothing() -> NoReturn:
    raise WrongState(_("Nothing was selected: tick some first."), code="nothing_selected")


def _titled(title: str, number: int) -> str:
    return title % {"count": wording.number(number)} if "%(" in title else title
