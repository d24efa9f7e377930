"""Runs as rows of a table, and what stays of them while the list is open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from openqueue.control.run_facts import RunFacts
from openqueue.control.run_lines import RunLine
from openqueue.control.search import pages
from openqueue.control.search.orders import Order
from openqueue.states import FINAL, Status
from openqueue_workbench import wording
from openqueue_workbench.frame.addresses import Addresses

LETTERS = 200
"""Of the second line; all of it is behind it."""
ORDERS_KEY = "order:"
"""How the limit of an order begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run."""

    line: RunLine
    address: str
    second: str
    """Why it failed, what it waits for, what it is at."""
    seconds: float | None
    """How long it took, or has been at it."""

    @property
    def percent(self) -> float | None:
        """Return how far it has come, while it runs."""
        return self.line.percent if self.line.run.status == Status.RUNNING else None


def rows(lines: Sequence[RunLine], *, to: Addresses, now: datetime) -> list[Row]:
    """Return rows, in the order of the lines."""
    return [
        Row(
            line=line,
            address=to.run(line.run.id),
            second=_second(line, now=now),
            seconds=elapsed(line.run, now=now),
        )
        for line in lines
    ]


def elapsed(run: RunFacts, *, now: datetime) -> float | None:
    """Return how long its last attempt took, or has taken so far."""
    if run.status == Status.RUNNING and run.started_at is not None:
        return max(0.0, (now - run.started_at).total_seconds())
    return run.seconds


def waits(run: RunFacts, *, now: datetime) -> str:
    """Say what a run waits for; nothing for one that does not, or that only waits for a worker."""
    if run.status == Status.WAITING:
        return _("Waits for other steps of its flow")
    if run.status in {Status.SCHEDULED, Status.RETRYING} and run.due_at is not None:
        return _("Due %(when)s") % {"when": wording.age(run.due_at, now=now)}
    if run.status == Status.QUEUED and run.waits_for:
        if run.waits_for.startswith(ORDERS_KEY):
            return _("Waits for its turn in the order %(key)s") % {
                "key": run.waits_for.removeprefix(ORDERS_KEY)
            }
        return _("Waits for room under the limit %(key)s") % {"key": run.waits_for}
    return ""


def _second(line: RunLine, *, now: datetime) -> str:
    if line.run.status == Status.RUNNING:
        return line.progress
    waited = waits(line.run, now=now)
    if line.error and line.run.status not in FINAL:
        return f"{waited} · {line.error}" if waited else line.error
    return line.error or waited or (wording.reason(line.run.reason) if line.run.reason else "")


def seen(lines: Sequence[RunLine], *more: object) -> str:
    """Return what tells whether anything on show has changed; empty where it does at every moment."""
    if any(line.run.status == Status.RUNNING for line in lines):
        return ""
    return hashlib.sha256(repr([more, *lines]).encode()).hexdigest()[:16]


def ids(text: str) -> list[UUID]:
    """Read the ids of an open list."""
    try:
        return [UUID(hex=part) for part in text.split(".")[: pages.MOST]] if text else []
    except ValueError:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWords:
    """What an order is called, and the ways back and on in it."""

    said: str
    back: str
    on: str


def order(order: Order) -> OrderWords:
    """Say in which order a list is."""
    if order is Order.DUE:
        return OrderWords(said=_("Due first comes first."), back=_("Due earlier"), on=_("Due later"))
    if order is Order.START:
        return OrderWords(
            said=_("What runs for longest comes first."), back=_("Started earlier"), on=_("Started later")
        )
    said = _("Ended last comes first.") if order is Order.END else _("Newest first.")
    return OrderWords(said=said, back=_("Newer"), on=_("Older"))
