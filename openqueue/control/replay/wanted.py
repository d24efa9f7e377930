"""Which past runs are wanted, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Self
from uuid import UUID

from openqueue import codec
from openqueue.states import FINAL

STATUSES: Final = tuple(sorted(status.value for status in FINAL))
PLAN_LIMIT: Final = 2**20
"""Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The messages that a broker keeps of one queue. What is None leaves nothing out."""

    runtime: str
    queue: str
    partition: int | None = None
    first: int | None = None
    """An offset; only with a partition."""
    until: int | None = None
    """The first offset not to read; only with a partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A window of past runs. What is empty leaves nothing out."""

    tasks: Sequence[str] = ()
    queues: Sequence[str] = ()
    statuses: Sequence[str] = ()
    """How they ended. Empty: completed and failed ones; cancelled and expired ones only where they are named."""
    since: datetime | timedelta | None = None
    """Created since this moment, or so long before the replay begins."""
    until: datetime | timedelta | None = None
    """Created before it. None: before the replay begins."""
    ids: Sequence[UUID] = ()
    again: bool = False
    """Also those that were replayed before."""
    to_queue: str | None = None
    """The queue of the new runs. None: that of the past run."""
    stretch: Stretch | None = None
    """Look for them in messages that a broker keeps; ``since`` and ``until`` are then about these."""

    @property
    def names_nothing(self) -> bool:
        """Tell whether this is all that ever ran."""
        return not any(
            [self.tasks, self.queues, self.statuses, self.since, self.until, self.ids, self.stretch]
        )

    @property
    def digest(self) -> str:
        """Return a name for what was asked, by which an interrupted replay is found when it is asked again."""
        return sha256(codec.encode(self.to_json(), what="plan", limit=PLAN_LIMIT).encode()).hexdigest()[:10]

    def settled(self, clock: datetime) -> Wanted:
        """Return the same with moments in place of durations, and an end."""
        since = clock - self.since if isinstance(self.since, timedelta) else self.since
        until = clock - self.until if isinstance(self.until, timedelta) else self.until or clock
        return replace(self, since=since, until=min(until, clock))

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {
            "tasks": sorted(self.tasks),
            "queues": sorted(self.queues),
            "statuses": sorted(self.statuses),
            "since": _written(self.since),
            "until": _written(self.until),
            "ids": sorted(str(run) for run in self.ids),
            "again": self.again,
            "to_queue": self.to_queue,
            "stretch": None if self.stretch is None else asdict(self.stretch),
        }

    @classmethod
    def from_json(cls, plan: dict[str, Any]) -> Self:
        """Read what `to_json` wrote of a settled one."""
        moments = {name: plan[name] and datetime.fromisoformat(plan[name]) for name in ("since", "until")}
        stretch = plan["stretch"] and Stretch(**plan["stretch"])
        return cls(**plan | moments | {"ids": [UUID(run) for run in plan["ids"]], "stretch": stretch})


def _written(at: datetime | timedelta | None) -> str | None:
    if isinstance(at, timedelta):
        return f"{at.total_seconds():g} s before"
    return None if at is None else at.isoformat()
