"""Dead letters: runs that failed for good, and messages that could not become a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpResponse
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import bulk_acts, dead_letters, run_acts
from openqueue.control.callers import Right
from openqueue.control.dead_letters import DeadMessage, Group
from openqueue.control.run_facts import RunFacts
from openqueue.control.search import Term, written
from openqueue.errors import UnclearDeadLetter
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import bulk_told, periods
from openqueue_workbench.pages.dead_selection import ALIKE, DISCARDED, MESSAGES, RUNS, DeadSelection

KINDS: Final[Mapping[str, Promise]] = {
    RUNS: gettext_lazy("Failed runs"),
    MESSAGES: gettext_lazy("Undecodable messages"),
    DISCARDED: gettext_lazy("Discarded messages"),
    ALIKE: gettext_lazy("Counted by what is alike"),
}
SIZE = 50
GROUPS = 100
"""Groups that are shown; the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRun:
    """A failed run as a row."""

    run: RunFacts
    address: str
    type: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessageLine:
    """A message as a row."""

    message: DeadMessage
    address: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLine:
    """What is alike, as a row."""

    group: Group
    address: str


class DeadActs(Page):
    """What can be done to dead letters, wherever they are shown."""

    place = "deadletter"

    @act(gettext_lazy("Requeue"), right=Right.RETRY)
    def requeue(self, on: str, fields: Mapping[str, str]) -> Told:
        """Begin a failed run anew; of a message too little is kept, and the control plane says so."""
        letter = _message(on)
        if letter is not None:
            dead_letters.requeue(letter, caller=self.caller)
        run = _run(on)
        run_acts.retry(run, caller=self.caller, reason=fields.get("reason", ""))
        return Told(text=_("Run %(run)s begins anew.") % {"run": run})

    @act(gettext_lazy("Discard"), right=Right.DISCARD, is_grave=True)
    def discard(self, on: str, fields: Mapping[str, str]) -> Told:
        """Delete a failed run, or take a message off the list."""
        reason, letter = fields.get("reason", ""), _message(on)
        if letter is not None:
            dead_letters.discard([letter], caller=self.caller, reason=reason)
            return Told(text=_("Message %(number)s is off the list.") % {"number": letter})
        run = _run(on)
        run_acts.discard(run, caller=self.caller, reason=reason)
        return Told(text=_("Run %(run)s is deleted.") % {"run": run})

    @discard.before
    def ask_discard(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say what is lost."""
        why, letter = [Field(name="reason", label=_("Why"))], _message(on)
        if letter is not None:
            found = dead_letters.message(letter, caller=self.caller)
            return Question(
                title=_("Discard message %(number)s?") % {"number": letter},
                text=_("It goes to the discarded ones, with your name and why. Nothing is sent or deleted."),
                facts=[(_("Queue"), found.queue), (_("Why it is dead"), found.reason)],
                fields=why,
            )
        run = run_acts.show(_run(on), caller=self.caller)
        return Question(
            title=_("Discard run %(run)s?") % {"run": f"…{str(run.id)[-12:]}"},
            text=_("It is deleted with its history and its logs. This cannot be undone."),
            facts=[
                (_("Task"), run.task_id),
                (_("Queue"), run.queue),
                (_("Why it failed"), wording.reason(run.reason)),
            ],
            fields=why,
        )


class DeadLettersPage(DeadSelection, DeadActs):
    """All of them."""

    template = "dead_letters.html"
    parts = {
        "groups": Part(template="parts/dead_groups.html", every="slow"),
        "letters": Part(template="parts/dead_letters.html", every="slow"),
    }

    @property
    def kind(self) -> str:
        """Return what is listed."""
        asked = self.request.GET.get("kind", RUNS)
        return asked if asked in KINDS else RUNS

    @property
    def wanted(self) -> str:
        """Return the filter of runs as a search, beside that they failed."""
        terms = [(name, self.request.GET.get(name, "").strip()) for name in ("queue", "task")]
        return written([Term(name, (value,)) for name, value in terms if value])

    def context(self) -> dict[str, Any]:
        """Return the filter."""
        return {
            "choices": [
                (self.to.of("deadletter", kind=kind), name, kind == self.kind) for kind, name in KINDS.items()
            ],
            "queue": self.request.GET.get("queue", ""),
            "task": self.request.GET.get("task", ""),
            "cleared": self.to.of("deadletter"),
            "selection": self.selection(),
        }

    def part_groups(self) -> dict[str, Any]:
        """Show what is dead by what is alike."""
        found = dead_letters.groups(caller=self.caller)
        return {
            "lines": [
                GroupLine(
                    group=group,
                    address=self.to.of(
                        "deadletter",
                        kind=group.kind,
                        queue=group.queue if group.kind == RUNS else None,
                        task=group.task_id,
                    ),
                )
                for group in found.groups[:GROUPS]
            ],
            "left": len(found.groups) - GROUPS,
            "examined_all": found.examined_all,
            "examined": dead_letters.EXAMINED,
        }

    def part_letters(self) -> dict[str, Any]:
        """Read a page."""
        found = self.some_runs() if self.kind == RUNS else self.some_messages()
        return found | {"selectable": bool(self.selection())}

    def some_runs(self) -> dict[str, Any]:
        """Read failed runs."""
        page = dead_letters.runs(self.wanted, caller=self.caller, size=SIZE, at=self.request.GET.get("at"))
        told = dead_letters.told(page, caller=self.caller)
        nothing = dead_letters.Told("", "")
        return {
            "runs": [
                DeadRun(run=run, address=self.to.run(run.id), **told.get(run.id, nothing)._asdict())
                for run in page.runs
            ],
            "stopped": page.stopped,
            "problems": page.problems,
            "searched_all": page.searched_all,
            "is_filtered": bool(self.wanted),
            "older": self.address_with(at=page.older) if page.older else "",
            "newest": self.address_with(at=page.newer) if page.newer else "",
            "newest_name": _("Newer"),
        }

    def some_messages(self) -> dict[str, Any]:
        """Read messages."""
        before = periods.number(self.request.GET.get("at"))
        found = dead_letters.messages(
            caller=self.caller, discarded=self.kind == DISCARDED, before=before, limit=SIZE + 1
        )
        return {
            "messages": [
                DeadMessageLine(
                    message=one, address=self.to.of("deadletter_change", one.id), origin=origin(one.origin)
                )
                for one in found[:SIZE]
            ],
            "older": self.address_with(at=str(found[SIZE - 1].id)) if len(found) > SIZE else "",
            "newest": self.address_with(at=None) if before is not None else "",
        }

    @act(gettext_lazy("Requeue all"), right=Right.RETRY)
    def requeue_all(self, _on: str, fields: Mapping[str, str]) -> Told:
        """Begin all anew that the filter finds."""
        return self.act_on_all("retry", fields)

    @requeue_all.before
    def ask_requeue_all(self, _on: str, _fields: Mapping[str, str]) -> Question:
        """Say how many they are."""
        return Question(
            title=_("Requeue all these failed runs?"),
            text=_("Each begins a new cycle of attempts, with the same arguments."),
            facts=self.facts_of_all("retry"),
            fields=[Field(name="reason", label=_("Why"))],
        )

    @act(gettext_lazy("Discard all"), right=Right.DISCARD, is_grave=True)
    def discard_all(self, _on: str, fields: Mapping[str, str]) -> Told:
        """Delete all that the filter finds."""
        return self.act_on_all("discard", fields)

    @discard_all.before
    def ask_discard_all(self, _on: str, _fields: Mapping[str, str]) -> Question:
        """Have it typed."""
        return Question(
            title=_("Discard all these failed runs?"),
            text=_("They are deleted with their history and their logs. This cannot be undone."),
            facts=self.facts_of_all("discard"),
            fields=[Field(name="reason", label=_("Why"))],
            typed=_("discard"),
        )

    @property
    def search(self) -> str:
        """Return what finds all that the filter means."""
        return f"{dead_letters.SEARCH} {self.wanted}".strip()

    def act_on_all(self, name: str, fields: Mapping[str, str]) -> Told:
        """Do it, here or in the background."""
        asked = bulk_acts.ask(name, self.search, caller=self.caller, reason=fields.get("reason", ""))
        return bulk_told.told(self, asked)

    def facts_of_all(self, name: str) -> Sequence[tuple[str, str]]:
        """Say which they are, and how many."""
        seen = bulk_acts.preview(name, self.search, caller=self.caller)
        return [(_("Which"), seen.search), (_("How many"), bulk_told.number_of(seen))]


class DeadMessagePage(DeadActs):
    """One message."""

    template = "dead_letter.html"
    parts = {"letter": Part(template="parts/dead_letter.html", every="slow")}

    @cached_property
    def letter(self) -> DeadMessage:
        """Read it, once for the heading and its part."""
        return dead_letters.message(self.kwargs["number"], caller=self.caller)

    def title(self) -> str:
        """Return its number."""
        return _("Message %(number)s") % {"number": self.letter.id}

    def go_on(self) -> HttpResponse:
        """Read it anew after an act."""
        vars(self).pop("letter", None)
        return super().go_on()

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all of them."""
        return [(self.to.of("deadletter", kind=MESSAGES), str(self.where.title))]

    def part_letter(self) -> dict[str, Any]:
        """Read it."""
        found = self.letter
        return {
            "letter": found,
            "origin": origin(found.origin),
            "lines": None if found.head is None else dumped(found.head),
            "queue_address": "" if "/" in found.queue else self.to.queue(found.queue),
            "on": f"{MESSAGES}-{found.id}",
        }


def origin(told: Any) -> str:
    """Say where at its broker a message came from."""
    if isinstance(told, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')} {value}" for name, value in told.items())
    return "" if told is None else str(told)


def dumped(head: str) -> list[tuple[str, str, str]]:
    """Return bytes, given in hexadecimal, as lines of sixteen: where each begins, the bytes, and what is readable."""
    try:
        body = bytes.fromhex(head)
    except ValueError:
        return [("", head, "")]
    lines = [body[at : at + 16] for at in range(0, len(body), 16)]
    return [
        (
            f"{number * 16:04x}",
            line.hex(" "),
            "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in line),
        )
        for number, line in enumerate(lines)
    ]


def _message(on: str) -> int | None:
    kind, _sign, number = on.partition("-")
    return periods.number(number) if kind == MESSAGES else None


def _run(on: str) -> Any:
    run = periods.run_id(on)
    if run is None:
        raise UnclearDeadLetter(f"There is no dead letter {on[:60]!r}.")
    return run
