"""What the fields of a search mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone

from openqueue import registry
from openqueue.conf import config
from openqueue.control.run_ids import DIGITS, FEWEST, bounds
from openqueue.control.search import conditions
from openqueue.control.search.conditions import Condition, Range
from openqueue.control.search.grammar import Term, parse, written
from openqueue.control.search.problem import Problem
from openqueue.errors import UnclearRun
from openqueue.models import Worker
from openqueue.secrets import says_secret
from openqueue.states import FINAL, Status
from openqueue.store import store
from openqueue.wording import say as _

KNOWN: Final = (
    "status", "queue", "task", "tag", "error", "worker", "flow", "schedule", "id", "attempt", "args.<path>", "since",
    "before",
)  # fmt: skip
STATUSES: Final = frozenset(status.value for status in Status)
LONGEST, MOST_TERMS = 2_000, 30
UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([a-z]*)")
PATH: Final = re.compile(r"args((?:\.\w+)+)", re.ASCII)
HEX: Final = re.compile(rf"[0-9a-f-]{{{FEWEST},36}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A search as values."""

    text: str = ""
    """Its one spelling; what a cursor is bound to."""
    statuses: frozenset[str] = STATUSES
    since: datetime | None = None
    before: datetime | None = None
    ids: Sequence[Range] | None = None
    """Runs whose ids lie in one of these; None: any."""
    narrow: Sequence[Condition] = ()
    """Conditions that no index serves."""
    problems: Sequence[Problem] = field(default=())

    @property
    def by_end(self) -> bool:
        """Only ended runs are wanted: periods are about the end, and the order is by it."""
        return bool(self.statuses) and self.statuses <= FINAL and self.ids is None


class Refused(Exception):  # it never leaves this module
    """A value that says nothing; the text says what to write."""


class Reader:
    """Reads terms one by one; what it cannot read becomes a problem, and is left out."""

    def __init__(self, *, sees_payloads: bool, clock: datetime | None = None) -> None:
        self.sees_payloads = sees_payloads
        self.clock = clock
        self.statuses = STATUSES
        self.since: datetime | None = None
        self.before: datetime | None = None
        self.ids: list[Range] | None = None
        self.narrow: list[Condition] = []
        self.problems: list[Problem] = []

    def read(self, term: Term) -> bool:
        """Read one term; tell whether it counts."""
        try:
            _check(term)
            self.reader(term.field)(term)
        except Refused as refusal:
            self.problems.append(Problem(field=term.field, message=refusal.args[0]))
            return False
        return True

    def reader(self, name: str) -> Callable[[Term], None]:
        if name == "":
            return self.words
        if name.startswith("args."):
            return self.arguments
        if name not in KNOWN:
            raise Refused(_("Unknown field `{name}:`. Known: {names}.", name=name, names=", ".join(KNOWN)))
        return getattr(self, f"read_{name}")  # type: ignore[no-any-return]  # one method a field

    def add(self, term: Term, found: Condition) -> None:
        self.narrow.append(conditions.none_of(found) if term.negated else found)

    def words(self, term: Term) -> None:
        (word,) = term.values
        if not term.negated and HEX.fullmatch(word.lower()) and len(word.replace("-", "")) == DIGITS:
            return self.read_id(term)  # a whole id: nothing else is meant
        parts = [conditions.contains("task_id", word)]
        if self.sees_payloads:  # messages of errors hold what payloads held
            parts.append(conditions.error(word))
        if HEX.fullmatch(word.lower()) and FEWEST <= len(word.replace("-", "")) <= DIGITS:
            parts.append(conditions.between("pk", bounds(word)))
        return self.add(term, conditions.any_of(parts))

    def arguments(self, term: Term) -> None:
        if not self.sees_payloads:
            raise Refused(_("Arguments are searched only by those who may see payloads."))
        found = PATH.fullmatch(term.field)
        if not found:
            raise Refused(_("Write names with dots between them, as in `args.order.id:7`."))
        if hidden := [step for step in found[1][1:].split(".") if says_secret(step, names=config.mask_names)]:
            raise Refused(_("{hidden} is masked (MASK_NAMES), and not searched.", hidden=_shown(hidden[0])))
        self.add(term, conditions.argument(found[1][1:].split("."), term.values))

    def read_status(self, term: Term) -> None:
        named = frozenset(value.lower() for value in term.values)
        if unknown := named - STATUSES:
            known = ", ".join(status.value for status in Status)
            raise Refused(
                _("There is no status {unknown}. Known: {known}.", unknown=_shown(min(unknown)), known=known)
            )
        self.statuses = self.statuses - named if term.negated else self.statuses & named

    def read_queue(self, term: Term) -> None:
        self.add(term, conditions.local("queue", term.values))

    def read_task(self, term: Term) -> None:
        ids = {*term.values}
        ids |= {known for known in registry.index() if known.rpartition(".")[2] in ids}
        self.add(term, conditions.local("task_id", sorted(ids)))

    def read_tag(self, term: Term) -> None:
        self.add(term, conditions.any_of([conditions.tag(value) for value in term.values]))

    def read_error(self, term: Term) -> None:
        if not self.sees_payloads:
            raise Refused(_("Errors are searched only by those who may see payloads."))
        self.add(term, conditions.any_of([conditions.error(value) for value in term.values]))

    def read_worker(self, term: Term) -> None:
        self.add(term, conditions.any_of([_worker(value) for value in term.values]))

    def read_flow(self, term: Term) -> None:
        ranges = [_range(value, what=_("flow")) for value in term.values]
        self.add(term, conditions.any_of([conditions.begins("flow_id", one) for one in ranges]))

    def read_schedule(self, term: Term) -> None:
        self.add(term, conditions.equal("schedule_id", [_number(v, most=2**63 - 1) for v in term.values]))

    def read_attempt(self, term: Term) -> None:
        self.add(term, conditions.equal("attempt", [_number(v, most=2**31 - 1) for v in term.values]))

    def read_id(self, term: Term) -> None:
        ranges = [_range(value, what=_("run")) for value in term.values]
        if term.negated or self.ids is not None:
            return self.add(term, conditions.any_of([conditions.between("pk", one) for one in ranges]))
        self.ids = ranges
        return None

    def read_since(self, term: Term) -> None:
        moment = self.moment(term)
        self.since = moment if self.since is None else max(self.since, moment)

    def read_before(self, term: Term) -> None:
        moment = self.moment(term)
        self.before = moment if self.before is None else min(self.before, moment)

    def moment(self, term: Term) -> datetime:
        """Read how long ago, or a moment; without an offset it is in the current time zone."""
        if term.negated or len(term.values) > 1:
            raise Refused(_("Write one moment, without a minus: `{field}:2h`.", field=term.field))
        (value,) = term.values
        try:
            if ago := DURATION.fullmatch(value.lower()):
                if self.clock is None:
                    self.clock = store().clock(None)
                return self.clock - timedelta(seconds=float(ago[1]) * UNITS[ago[2]])
            at = datetime.fromisoformat(value)
            at = at if at.tzinfo else timezone.make_aware(at)
            at.timestamp()
            return at.astimezone(timezone.get_default_timezone())
        except (ValueError, KeyError, OverflowError):
            raise Refused(
                _(
                    "{value}: write how long ago (10m, 2h, 1d) or a moment (2027-03-01T09:00).",
                    value=_shown(value),
                )
            ) from None


def read(
    text: str | Iterable[Term],
    *,
    sees_payloads: bool = False,
    queues: Collection[str] | None = None,
    clock: datetime | None = None,
) -> Sought:
    """Return what a search means. Never raises: what cannot be read is in its ``problems``, and left out.

    Args:
        text: as people write it, or its terms.
        sees_payloads: whoever asks may see arguments and errors; otherwise ``args.`` and ``error:`` are refused.
        queues: the only ones that exist for whoever asks; None: all.
        clock: the moment that "2h ago" is counted from; None: now.
    """
    reader = Reader(sees_payloads=sees_payloads, clock=clock)
    if isinstance(text, str):
        if len(text) > LONGEST:
            reader.problems.append(
                Problem(field="", message=_("Only the first {longest} characters count.", longest=LONGEST))
            )
        text = parse(text[:LONGEST])
    terms = list(text)
    if len(terms) > MOST_TERMS:
        reader.problems.append(
            Problem(field="", message=_("Only the first {most_terms} terms count.", most_terms=MOST_TERMS))
        )
    taken = [term for term in terms[:MOST_TERMS] if reader.read(term)]
    if queues is not None:
        reader.narrow.append(conditions.local("queue", sorted(queues)))
    return Sought(
        text=written(taken),
        statuses=reader.statuses,
        since=reader.since,
        before=reader.before,
        ids=reader.ids,
        narrow=reader.narrow,
        problems=reader.problems,
    )


def _check(term: Term) -> None:
    if not term.values:
        raise Refused(_("Write what it should be, as in `{field}:value`.", field=term.field))
    if any("\0" in value or (not value.isascii() and _has_surrogates(value)) for value in term.values):
        raise Refused(_("No text in a database holds such characters."))


def _worker(value: str) -> Condition:
    """An incarnation by its id, or those of a host, or of a process on it as ``host:pid``."""
    if HEX.fullmatch(value.lower()):
        return conditions.begins("worker_id", _range(value, what=_("worker")))
    host, _colon, pid = value.rpartition(":")
    workers = Worker.objects.using(store().alias)
    if host and re.fullmatch(r"\d{1,9}", pid):
        return conditions.equal("worker_id", workers.filter(host=host, pid=int(pid)).values("pk"))
    return conditions.equal("worker_id", workers.filter(host=value).values("pk"))


def _range(value: str, *, what: str) -> tuple[UUID, UUID]:
    try:
        return bounds(value)
    except UnclearRun:
        raise Refused(
            _(
                "{value} is no {what}'s id, nor its first {fewest} or more characters.",
                value=_shown(value),
                what=what,
                fewest=FEWEST,
            )
        ) from None


def _number(value: str, *, most: int) -> int:
    if not re.fullmatch(r"\d{1,19}", value, re.ASCII) or int(value) > most:
        raise Refused(_("{value} is not a whole number.", value=_shown(value)))
    return int(value)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:59]}…")


def _has_surrogates(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)
