"""Past runs by the messages that a broker keeps of them: Kafka's topics, read beside whoever consumes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from openqueue import runtimes
from openqueue.control.replay.pace import MOST
from openqueue.control.replay.pages import Found, Page, past
from openqueue.control.replay.report import Why
from openqueue.control.replay.wanted import Stretch, Wanted
from openqueue.errors import UnsupportedCapability
from openqueue.models import RuntimeOffset
from openqueue.runtimes.base import PoisonMessage, Rereads, decode


def partitions(settled: Wanted, rows: Sequence[RuntimeOffset]) -> list[Messages]:
    """Return the partitions to read: as the places of a replay say, or as the broker has them now.

    Raises:
        UnsupportedCapability: the runtime keeps no messages, or has no such partition.
    """
    stretch = cast(Stretch, settled.stretch)
    runtime = _runtime(stretch)
    if rows:
        return [
            Messages(
                runtime, settled, partition=int(row.source.rpartition("/")[2]), first=int(row.position),
                until=int(row.until),
            )
            for row in rows
        ]  # fmt: skip
    since, until = cast("datetime | None", settled.since), cast("datetime | None", settled.until)
    there = runtime.stretch(stretch.queue, since=since, until=until)
    if stretch.partition is None:
        wanted = sorted(there)
    elif stretch.partition in there:
        wanted = [stretch.partition]
    else:
        raise UnsupportedCapability(
            f"Queue {stretch.queue!r} has no partition {stretch.partition} on {stretch.runtime!r}: it has "
            f"{', '.join(map(str, sorted(there))) or 'none at all'}."
        )
    return [
        Messages(
            runtime, settled, partition=number, first=max(first, stretch.first or 0),
            until=last if stretch.until is None else min(last, stretch.until),
        )
        for number, (first, last) in ((number, there[number]) for number in wanted)
    ]  # fmt: skip


def _runtime(stretch: Stretch) -> Rereads:
    runtime = runtimes.get(stretch.runtime)
    if not runtime.capabilities.replay or not isinstance(runtime, Rereads):
        raise UnsupportedCapability(
            f"The runtime {stretch.runtime!r} keeps no message that was received. Leave out --runtime: past runs are "
            f"found in the database, whatever carried them."
        )
    return runtime


class Messages:
    """One partition of a queue, from one offset to another."""

    def __init__(self, runtime: Rereads, settled: Wanted, *, partition: int, first: int, until: int) -> None:
        self.runtime = runtime
        self.wanted = settled
        stretch = cast(Stretch, settled.stretch)
        self.queue = stretch.queue
        self.partition = partition
        self.name = f"{stretch.runtime}/{stretch.queue}/{partition}"
        self.first, self.until = str(min(first, until)), str(until)

    def page(self, position: str) -> Page:
        """Read some messages, and the runs that they announced in one statement."""
        until = int(self.until)
        kept = self.runtime.reread(
            self.queue, partition=self.partition, offset=int(position), until=until, limit=MOST
        )
        read: list[tuple[int, UUID | None, str]] = []
        for one in kept[:MOST]:
            try:
                read.append((one.offset, decode(one.body)[0], ""))
            except PoisonMessage as error:
                read.append((one.offset, None, str(error)))
        wanted = self.wanted
        named = {run for _, run, _ in read if run is not None}
        rows = past(pk__in=named).in_bulk() if named else {}
        fitting = {
            pk
            for pk, row in rows.items()
            if (not wanted.tasks or row.task_id in wanted.tasks)
            and (not wanted.statuses or row.outcome in wanted.statuses)
        }
        found = []
        for offset, run, poison in read:
            behind = str(offset + 1)
            place = f"{self.name}@{offset}"
            if run is None:
                found.append(Found(behind, None, Why.NO_ANNOUNCEMENT, named=place, detail=poison))
            elif run not in rows:
                found.append(Found(behind, None, Why.GONE, named=place, detail=str(run)))
            else:
                found.append(Found(behind, rows[run] if run in fitting else None))
        return Page(found=found, end=found[-1].behind if found else self.until)

    def share(self, position: str) -> float:
        """Return how many of the offsets lie before one."""
        whole = int(self.until) - int(self.first)
        return min(1.0, (int(position) - int(self.first)) / whole) if whole else 1.0
