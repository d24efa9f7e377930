"""The record of what operators did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from openqueue.control.actor import Actor
from openqueue.models import AuditLog
from openqueue.store import journal, store

LONGEST_REASON: Final = 500
LONGEST_OBJECT: Final = 200


class Act(NamedTuple):
    """One thing done to one object."""

    act: str
    """A dotted verb: run.retry."""
    object: str
    before: Any = None
    after: Any = None


def record(acts: Sequence[Act], *, actor: Actor, reason: str = "") -> None:
    """Append one row an act. Call it in the transaction of the acts, so that none stands without the other."""
    if not acts:
        return
    journal.append(
        store(),
        [
            AuditLog(
                actor=actor.name,
                act=act.act,
                object=act.object,
                before=act.before,
                after=act.after,
                reason=reason[:LONGEST_REASON],
                origin=actor.origin,
            )
            for act in acts
        ],
    )


def refused(what: str, *, actor: Actor, why: str) -> None:
    """Append one row about an act that the actor had no right to."""
    record([Act("refused", what[:LONGEST_OBJECT])], actor=actor, reason=why)
