"""What one outcome makes of its run, for databases whose statements do not work it out: the rules of settle.sql."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from openqueue.states import Kind, Reason, Status
from openqueue.types import Outcome


def text(moment: datetime) -> str:
    """Write an instant as the columns of SQLite and MySQL hold it: naive UTC with microseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


class Ending:
    """The end of one attempt."""

    __slots__ = (
        "actor",
        "again",
        "data",
        "due",
        "expires",
        "kind",
        "moment",
        "outcome",
        "reason",
        "released",
        "status",
    )

    def __init__(self, outcome: Outcome, *, cancelled: bool, actor: str, moment: datetime) -> None:
        cancelled = cancelled and outcome.status in {Status.RETRYING, Status.QUEUED}
        self.outcome, self.moment = outcome, moment
        self.status = Status.CANCELLED if cancelled else outcome.status
        self.reason = Reason.BY_USER if cancelled else outcome.reason
        self.kind = Kind.CANCELLED if cancelled else outcome.kind
        self.actor = actor if self.status == Status.CANCELLED else ""
        self.due = moment + timedelta(seconds=outcome.delay)
        self.released = outcome.kind == Kind.RELEASED
        self.again = self.status in {Status.RETRYING, Status.QUEUED}
        self.expires = self.released and outcome.age is None  # it has not begun
        self.data = outcome.data
        if self.status == Status.RETRYING and outcome.data:
            self.data = f'{outcome.data[:-1]},"next_run_at":"{self.due.isoformat()}"}}'

    def change(self, *, attempt: int, version: int, run: str) -> tuple[Any, ...]:
        age, error, status = self.outcome.age, self.outcome.error, self.status.value
        number = attempt - 1 if self.released and self.again else attempt
        crashes = int(self.outcome.reason == Reason.WORKER_LOST)
        begun = None if age is None else text(self.moment - timedelta(seconds=age))
        outcome, finished = (None, None) if self.again else (status, text(self.moment))
        return (status, self.reason.value, version, self.outcome.result, error, status, number, crashes, begun,
                self.expires or not self.again, outcome, finished, run)  # fmt: skip
