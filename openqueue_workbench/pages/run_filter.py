"""Which runs a reader asked for: the form above the list, as an address tells it, and as a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control.callers import Caller, Right
from openqueue.control.search import Problem, Sought, Term, parse, read, written
from openqueue.states import FINAL, Status

PERIODS: Final[Mapping[str, tuple[str | Promise, timedelta | None]]] = {
    "15m": (gettext_lazy("Last 15 minutes"), timedelta(minutes=15)),
    "1h": (gettext_lazy("Last hour"), timedelta(hours=1)),
    "24h": (gettext_lazy("Last 24 hours"), timedelta(hours=24)),
    "7d": (gettext_lazy("Last 7 days"), timedelta(days=7)),
    "all": (gettext_lazy("Any time"), None),
    "own": (gettext_lazy("From … to …"), None),
}
SAID: Final[Mapping[str, str | Promise]] = {
    "15m": gettext_lazy("in the last 15 minutes"),
    "1h": gettext_lazy("in the last hour"),
    "24h": gettext_lazy("in the last 24 hours"),
    "7d": gettext_lazy("in the last 7 days"),
    "all": gettext_lazy("at any time"),
}
USUAL: Final = "24h"
LONGEST_FOR_WORDS: Final = "7d"
UNFINISHED: Final = frozenset(status.value for status in Status if status not in FINAL)
FIELDS: Final = ("q", "status", "queue", "task", "period", "since", "before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What the form says."""

    q: str = ""
    status: str = ""
    queue: str = ""
    task: str = ""
    period: str = ""
    since: str = ""
    """As `datetime-local` writes it, in the reader's zone, or with an offset; counts with ``period`` own."""
    before: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        """Read an address; what it does not know is left out."""
        told = {name: (query.get(name) or "").strip() for name in FIELDS}
        if told["status"] not in {status.value for status in Status}:
            told["status"] = ""
        if query.get("had") and told["period"] not in {query.get("had"), "own"}:
            # Another period was chosen than the form had: that is what counts.
            told["since"] = told["before"] = ""
        if told["since"] or told["before"]:
            told["period"] = "own"
        elif told["period"] not in PERIODS or told["period"] == "own":
            told["period"] = ""
        return cls(**told)

    @property
    def words(self) -> list[Term]:
        """Return the terms of the search box."""
        return parse(self.q)

    @property
    def chosen(self) -> str:
        """Return the period that counts: unfinished runs are few and never past, others are of the last day."""
        if self.period:
            return self.period
        named = {self.status} if self.status else {
            value.lower()
            for term in self.words
            if term.field == "status" and not term.negated
            for value in term.values
        }  # fmt: skip
        bounded = any(term.field in {"since", "before", "id"} for term in self.words)
        return "all" if bounded or self.is_id or (named and named <= UNFINISHED) else USUAL

    @property
    def is_id(self) -> bool:
        """Tell whether one run's id was pasted: it is looked for whenever it was made."""
        word = self.words[0] if len(self.words) == 1 else None
        digits = word.values[0].replace("-", "") if word and not word.field else ""
        return len(digits) == 32 and all(character in "0123456789abcdefABCDEF" for character in digits)

    @property
    def has_words(self) -> bool:
        """Tell whether text is looked for that no index finds."""
        return any(not term.field for term in self.words) and not self.is_id

    @property
    def window(self) -> timedelta | None:
        """Return how far back a period goes that ends now."""
        return PERIODS[self.chosen][1]

    @property
    def said(self) -> str:
        """Return which time it is about, as the end of a sentence: "in the last 24 hours"."""
        if self.chosen == "own":
            return _("in this period")
        return str(SAID[self.chosen])

    @property
    def is_narrowed(self) -> bool:
        """Tell whether it leaves out anything but what is old."""
        return bool(self.q or self.status or self.queue or self.task)

    @property
    def shown(self) -> str:
        """Return what is looked for, without the period, as a search would be written."""
        parts = [f"{name}:{value}" for name in ("status", "queue", "task") if (value := getattr(self, name))]
        return " ".join([*parts, self.q]).strip()

    @property
    def local_since(self) -> str:
        """Return where the period begins, as the form's field takes it."""
        return _local(self.since)

    @property
    def local_before(self) -> str:
        """Return where it ends."""
        return _local(self.before)

    def query(self, **changed: str) -> dict[str, str]:
        """Return it as the query of an address, some of it changed."""
        return {name: changed.get(name, getattr(self, name)) for name in FIELDS}


def meant(wanted: Filter, *, caller: Caller, clock: datetime) -> Sought:
    """Return the search. What is wrong with it is in its problems."""
    sought = read(
        _terms(wanted), sees_payloads=caller.may(Right.DATA), queues=caller.queues, clock=clock
    )  # fmt: skip
    if not wanted.has_words or wanted.chosen != "all":
        return sought
    told = Problem(field="", message=_("Text is looked for among the runs of the last 7 days only."))
    return replace(sought, problems=[told, *sought.problems])


def text(wanted: Filter) -> str:
    """Return the search as people write it, with whatever is wrong with it."""
    return written(_terms(wanted))


def _terms(wanted: Filter) -> Iterator[Term]:
    for name in ("status", "queue", "task"):
        if value := getattr(wanted, name):
            yield Term(name, (value,))
    period = LONGEST_FOR_WORDS if wanted.has_words and wanted.chosen == "all" else wanted.chosen
    if period == "own":
        for name in ("since", "before"):
            if value := getattr(wanted, name):
                yield Term(name, (_moment(value),))
    elif PERIODS[period][1] is not None:
        yield Term("since", (period,))
    yield from wanted.words


def _moment(text: str) -> str:
    """Return a moment with its offset: the search reads others in the project's zone, forms write the reader's."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (at if at.tzinfo else timezone.make_aware(at)).isoformat()


def _local(text: str) -> str:
    """Return a moment as `datetime-local` fields have it, in the reader's zone; nothing for what is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return ""
    here = timezone.localtime(at) if at.tzinfo else at
    return here.replace(tzinfo=None).isoformat(timespec="seconds")
