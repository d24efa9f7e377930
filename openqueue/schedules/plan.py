"""What is to be done about one schedule at one moment: pure, so that each rule can be looked at alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from openqueue.cron import newest
from openqueue.models import Schedule
from openqueue.schedules.rule import TICK, Rule
from openqueue.states import TickOutcome

GRACE: Final = timedelta(seconds=60)
"""So late a tick is still on time: a restart in the wrong second misses nothing."""
MOST: Final = 100
"""Missed ticks that are looked at one by one; the ones before them are told of in one row."""
WINDOW: Final = timedelta(days=1)
"""How far back ``run_all`` goes, where no window is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One row of the schedule's history."""

    tick: datetime
    outcome: TickOutcome
    until: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Plan:
    """Which ticks become runs, what is told of the others, and when to look again."""

    runs: list[datetime] = field(default_factory=list)
    freed: datetime | None = None
    """The first of `runs`, where it has waited: its row is there already."""
    told: list[Told] = field(default_factory=list)
    """Of ticks that do not become runs now."""
    waiting: datetime | None = None
    last_tick: datetime | None = None
    next_tick: datetime | None = None
    next_at: datetime | None = None


def plan(row: Schedule, *, now: datetime, busy: bool) -> Plan:
    """Work out what is due. ``busy``: a run of this schedule has not ended.

    Raises:
        ZoneInfoNotFoundError: its zone is not known any more.
    """
    rule = Rule.of(row)
    made = Plan(waiting=row.waiting_tick, last_tick=row.last_tick)
    if made.waiting is not None and not busy:
        made.runs, made.freed, made.waiting, busy = [made.waiting], made.waiting, None, True
    due = Due(row, rule, now=now)
    wanted = due.wanted()
    made.told += due.forgotten
    for tick in wanted:
        if rule.overlap == "allow" or not busy:
            made.runs.append(tick)
            busy = True
        elif rule.overlap == "queue" and made.waiting is None:
            made.waiting = tick
            made.told.append(Told(tick=tick, outcome=TickOutcome.WAITING))
        else:
            made.told.append(Told(tick=tick, outcome=TickOutcome.OVERLAPPED))
    made.last_tick = due.ticks[-1] if due.ticks else row.last_tick
    made.next_tick = due.next_tick
    if made.next_tick is not None:
        made.next_at = made.next_tick + rule.delay_of(made.next_tick, of=str(row))
    return made


class Due:
    """The ticks of a schedule that are due, and which of them still count."""

    def __init__(self, row: Schedule, rule: Rule, *, now: datetime) -> None:
        self.row, self.rule, self.now = row, rule, now
        self.next_after = partial(rule.next_after, anchor=row.anchor)
        self.forgotten: list[Told] = []
        """Ticks that are not even considered."""
        self.ticks: list[datetime] = []
        self.next_tick = row.next_tick
        while self.next_tick is not None and self.moment(self.next_tick) <= now and len(self.ticks) <= MOST:
            self.ticks.append(self.next_tick)
            self.next_tick = self.next_after(self.next_tick)
        if len(self.ticks) > MOST:
            self.leap()

    def moment(self, tick: datetime) -> datetime:
        return tick + self.rule.delay_of(tick, of=str(self.row))

    def leap(self) -> None:
        """Go to the newest ticks at once: a long outage of a frequent schedule is not walked through."""
        first = self.ticks[0]
        ticks = newest(self.next_after, after=first, until=self.now, most=MOST + 1)
        while len(ticks) > 1 and self.moment(ticks[-1]) > self.now:
            ticks.pop()
        self.next_tick = self.next_after(ticks[-1])
        self.ticks = ticks[-MOST:]
        (before,) = newest(self.next_after, after=first - TICK, until=self.ticks[0] - TICK, most=1)
        outcome = TickOutcome.OUT_OF_WINDOW if self.is_out(before) else TickOutcome.MISSED
        self.forgotten = [Told(tick=first, until=before, outcome=outcome)]

    def is_out(self, tick: datetime) -> bool:
        """Tell whether a missed tick lies before the window in which it may still become a run."""
        window = self.rule.catchup_window
        if window is None and self.rule.misfire == "run_all":
            window = WINDOW
        return window is not None and self.rule.misfire != "skip" and self.now - tick > window

    def wanted(self) -> list[datetime]:
        """Return the ticks to make runs of; the others are told of."""
        missed = [tick for tick in self.ticks if self.now - self.moment(tick) > GRACE]
        if not missed:
            return self.ticks
        kept = self.ticks if self.rule.misfire == "run_all" else self.ticks[len(missed) :]
        if self.rule.misfire == "run_once":  # the newest stands for all
            kept = self.ticks[-1:]
        late = set(missed)
        wanted = [tick for tick in kept if tick not in late or not self.is_out(tick)]
        for tick in self.ticks:
            if tick not in wanted:
                out = tick in late and self.is_out(tick)
                outcome = TickOutcome.OUT_OF_WINDOW if out else TickOutcome.MISSED
                self.forgotten.append(Told(tick=tick, outcome=outcome))
        return wanted
