"""How a queue stands, in a word: what an operator looks for before any number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from openqueue.control import findings
from openqueue.control.queues import QueueFacts
from openqueue.control.workers import WorkerFacts
from openqueue_workbench import wording


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A word, its colour, and more of it."""

    word: str
    css: str
    detail: str = ""


def slots_of(queue: QueueFacts, fleet: Sequence[WorkerFacts]) -> int:
    """Return how many runs of the queue can be at work at a time, on all workers that serve it."""
    return sum(one.slots for one in fleet if one.serves(queue.name, runtime=queue.runtime))


def state_of(queue: QueueFacts, *, slots: int) -> State:
    """Return the word for a queue; the gravest that fits."""
    if queue.behaviour:
        words = {"hold": _("held"), "reject": _("rejected"), "skip": _("skipped")}
        what = _("new runs are %(word)s") % {"word": words.get(queue.behaviour, queue.behaviour)}
        name = _("Draining") if queue.draining else _("Disabled")
        return State(word=name, css="oq-c-cancelled", detail=_by(queue.closed_by, queue.closed_for, what))
    if queue.paused:
        return State(
            word=_("Paused"),
            css="oq-c-retrying",
            detail=_by(queue.paused_by, queue.paused_for, queue.pause_reason),
        )
    if queue.due and not queue.workers:
        return State(word=_("No workers"), css="oq-c-failed")
    if queue.oldest_due is not None and queue.oldest_due > findings.OVERDUE:
        return State(word=_("Backlogged"), css="oq-c-failed")
    if queue.due and slots and queue.running >= slots:
        return State(word=_("At capacity"), css="oq-c-retrying")
    if queue.due or queue.running:
        return State(word=_("Active"), css="oq-c-completed")
    return State(word=_("Idle"), css="oq-c-queued")


def _by(who: str, since: float | None, why: str) -> str:
    said = _("by %(who)s") % {"who": who} if who else ""
    if since is not None:
        said = f"{said}, " if said else ""
        said += _("%(span)s ago") % {"span": wording.span(since)}
    return f"{said}: {why}" if why and said else said or why
