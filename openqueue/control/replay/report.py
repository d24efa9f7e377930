"""What a replay made, and what it did not make, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

EXAMPLES: Final = 3
"""Runs that are named for each reason."""


class Why(StrEnum):
    """Why a past run was not replayed."""

    UNFINISHED = "unfinished"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REPLAYED_BEFORE = "replayed_before"
    UNKNOWN_TASK = "unknown_task"
    CHANGED_SIGNATURE = "changed_signature"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105  # a reason, not a secret
    NO_PRIORITIES = "no_priorities"
    REPEATED = "repeated"
    GONE = "gone"
    NO_ANNOUNCEMENT = "no_announcement"


REMEDIES: Final[Mapping[Why, str]] = {
    Why.UNFINISHED: "It has not ended: wait, or cancel it.",
    Why.CANCELLED: "Somebody did not want it: --status cancelled replays it all the same.",
    Why.EXPIRED: "Its time was over before it began: --status expired replays it all the same.",
    Why.REPLAYED_BEFORE: "Its history names the run: --again replays it once more.",
    Why.UNKNOWN_TASK: "No task of this id is registered here: deploy the code that has it.",
    Why.CHANGED_SIGNATURE: "Its arguments no longer fit the task: trigger it with new ones.",
    Why.SECRET_UNREADABLE: 'Add the key that wrote its secrets to the end of OPENQUEUE["SECRET_KEYS"].',
    Why.NO_PRIORITIES: "It has a priority, and its queue's runtime keeps none: use --to-queue.",
    Why.REPEATED: "Another message of the same run: it is replayed once.",
    Why.GONE: "Retention deleted its run, and with it the arguments: trigger it anew.",
    Why.NO_ANNOUNCEMENT: "It is no message of OpenQueue: see who else writes to this topic.",
}


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one stretch of a replay."""

    made: Counter[str] = field(default_factory=Counter)
    """By task."""
    secrets: int = 0
    """How many of them have secret arguments, which were encrypted anew."""
    left: Counter[str] = field(default_factory=Counter)
    """By reason."""
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """For each reason some runs, with what is wrong where there is more to say."""

    def leave(self, run: UUID | str, why: Why, *, detail: str = "") -> None:
        """Count a run that was not replayed."""
        self.left[why.value] += 1
        shown = self.examples.setdefault(why.value, [])
        if len(shown) < EXAMPLES:
            shown.append((str(run), detail))

    def add(self, other: Tally) -> None:
        """Count what another stretch has counted."""
        self.made += other.made
        self.secrets += other.secrets
        self.left += other.left
        for why, some in other.examples.items():
            self.examples[why] = [*self.examples.get(why, []), *some][:EXAMPLES]

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {
            "made": dict(self.made),
            "secrets": self.secrets,
            "left": dict(self.left),
            "examples": self.examples,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        examples = {why: [(run, detail) for run, detail in some] for why, some in kept["examples"].items()}
        return cls(
            made=Counter(kept["made"]), secrets=kept["secrets"], left=Counter(kept["left"]), examples=examples
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Past runs that were not replayed, for one reason."""

    reason: str
    count: int
    remedy: str
    examples: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a replay stands: its own counts, those of before an interruption among them."""

    name: str
    dry_run: bool
    finished: bool
    """False: it was stopped. Asked for again it goes on where it stands."""
    continued: datetime | None
    """When it was begun, if it was interrupted since."""
    since: datetime | None
    until: datetime | None
    count: int
    """New runs."""
    by_task: Mapping[str, int]
    secrets: int
    """How many of them have secret arguments."""
    left: Sequence[LeftOut]

    @classmethod
    def of(cls, tally: Tally, **facts: Any) -> Self:
        """Return the report of what was counted."""
        left = [
            LeftOut(reason=why, count=count, remedy=REMEDIES[Why(why)], examples=tally.examples.get(why, []))
            for why, count in tally.left.most_common()
        ]
        return cls(
            count=tally.made.total(),
            by_task=dict(tally.made.most_common()),
            secrets=tally.secrets,
            left=left,
            **facts,
        )
