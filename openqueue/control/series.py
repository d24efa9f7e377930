"""Counters and time series of ended runs: from the roll-ups where they are written, from the runs since then."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import OperationalError

from openqueue.conf import config
from openqueue.core import rollups
from openqueue.core import tally as tallies
from openqueue.core.rollups import DAY, HOUR, PERIODS
from openqueue.core.tally import Tally, percentile
from openqueue.models import Rollup, RollupMark
from openqueue.store import store
from openqueue.store.endings import MINUTE, OUTCOMES, SHORTEST, STEPS, floor
from openqueue.store.refusals import took_too_long
from openqueue.wording import say as _

LIMIT: Final = timedelta(seconds=2)
"""Of one statement, where the database can be told so."""
USUAL: Final = timedelta(minutes=5)
"""How much is read from the runs without a limit of its own: roll-ups are rarely further behind."""
MOST_POINTS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How runs ended between two moments. Each number is of ``since`` (included) to ``before`` (not included)."""

    since: datetime
    before: datetime
    counts: Mapping[str, int]
    """By outcome."""
    total: int
    retries: int
    """Attempts beyond the first that these runs took, crashes aside."""
    crashes: int
    wait_p50: float | None
    """Seconds, to within a tenth; of the runs that took one attempt."""
    wait_p95: float | None
    time_p50: float | None
    """Seconds of the last attempt, to within a tenth."""
    time_p95: float | None
    longest: float | None
    run_seconds: float
    """Of all last attempts together."""

    @classmethod
    def of(cls, tally: Tally, since: datetime, before: datetime) -> Numbers:
        """Read what was counted."""
        return cls(
            since=since,
            before=before,
            counts={outcome: tally.counts[outcome] for outcome in OUTCOMES},
            total=tally.counts.total(),
            retries=tally.retries,
            crashes=tally.crashes,
            wait_p50=percentile(tally.waits, 0.5),
            wait_p95=percentile(tally.waits, 0.95),
            time_p50=percentile(tally.times, 0.5),
            time_p95=percentile(tally.times, 0.95),
            longest=tally.longest if tally.times else None,
            run_seconds=tally.run_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Numbers of a whole window, and of each step of it."""

    step: timedelta
    whole: Numbers
    points: Sequence[Numbers]
    """Oldest first, without gaps; the last one runs still."""
    stopped: bool = False
    """The database took longer than LIMIT for what is not rolled up yet: that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Numbers over time, and the same by task."""

    series: Series
    tasks: Mapping[str, Numbers]
    times: Mapping[int, int]
    """Runs by bucket of the time that their last attempt took; ``upto`` tells where a bucket ends."""


def of(
    period: timedelta,
    *,
    step: timedelta,
    task_id: str | None = None,
    queue: str | None = None,
    queues: Collection[str] | None = None,
    now: datetime | None = None,
    counts_only: bool = False,
) -> Series:
    """Return how runs ended in the last ``period``: of all, of a task, of a queue, of ``queues``.

    With ``counts_only`` waits and times are left out but for the last minutes: that is read many times as fast.

    The window begins at a whole step, and ends now: the running minute is in it. Steps begin at multiples of ``step``
    since 1970 UTC.

    Raises:
        ValueError: ``step`` is not a whole number of minutes, there are more than MOST_POINTS of them, or roll-ups so
            fine are not kept for so long.
    """
    since, moment = window(period, step, now)
    found: defaultdict[datetime, Tally] = defaultdict(Tally)
    stopped = _read(
        since, moment, lambda start: (found[start],), step=step, by=(), task_id=task_id, queue=queue,
        queues=queues, counts_only=counts_only,
    )  # fmt: skip
    return _series(found, since, moment, step, stopped=stopped)


def breakdown(
    period: timedelta,
    *,
    step: timedelta,
    task_id: str | None = None,
    queue: str | None = None,
    queues: Collection[str] | None = None,
    now: datetime | None = None,
) -> Breakdown:
    """Return the same, and the numbers of the whole window by task, read once for both. Raises as ``of`` does."""
    since, moment = window(period, step, now)
    by_step: defaultdict[datetime, Tally] = defaultdict(Tally)
    tasks: defaultdict[str, Tally] = defaultdict(Tally)

    def places(start: datetime, task: str) -> tuple[Tally, ...]:
        return by_step[start], tasks[task]

    stopped = _read(
        since, moment, places, step=step, by=("task_id",), task_id=task_id, queue=queue, queues=queues
    )
    times: Counter[int] = Counter()
    for tally in tasks.values():
        times.update(tally.times)
    end = after(moment)
    return Breakdown(
        series=_series(by_step, since, moment, step, stopped=stopped),
        tasks={task: Numbers.of(tally, since, end) for task, tally in sorted(tasks.items())},
        times=dict(times),
    )


def upto(bucket: int) -> float:
    """Return the seconds at which a bucket of lengths ends, which belong to it."""
    return float(SHORTEST * 2.0 ** (bucket / STEPS))


def window(period: timedelta, step: timedelta, now: datetime | None) -> tuple[datetime, datetime]:
    if step < MINUTE or step % MINUTE:
        raise ValueError(_("step is {step}. Use a whole number of minutes.", step=step))
    moment = store().clock(now)
    since = floor(moment - period, step)
    if (moment - since) / step > MOST_POINTS:
        raise ValueError(
            _(
                "period holds more than {most_points} steps of {step}. Use longer steps.",
                most_points=MOST_POINTS,
                step=step,
            )
        )
    return since, moment


def _series(
    found: Mapping[datetime, Tally], since: datetime, moment: datetime, step: timedelta, *, stopped: bool
) -> Series:
    points, whole, start = [], Tally(), since
    while start <= moment:
        tally = found.get(start) or Tally()
        points.append(Numbers.of(tally, start, min(start + step, after(moment))))
        whole.add(tally)
        start += step
    return Series(step=step, whole=Numbers.of(whole, since, after(moment)), points=points, stopped=stopped)


def by_task(
    period: timedelta,
    *,
    queue: str | None = None,
    queues: Collection[str] | None = None,
    now: datetime | None = None,
) -> Mapping[str, Numbers]:
    """Return the numbers of the last ``period`` by task; the window begins at a whole minute, from a day on an hour."""
    return _by("task_id", period, now=now, task_id=None, queue=queue, queues=queues)


def by_queue(
    period: timedelta,
    *,
    task_id: str | None = None,
    queues: Collection[str] | None = None,
    now: datetime | None = None,
) -> Mapping[str, Numbers]:
    """Return the numbers of the last ``period`` by queue."""
    return _by("queue", period, now=now, task_id=task_id, queue=None, queues=queues)


def _by(
    name: str,
    period: timedelta,
    *,
    now: datetime | None,
    task_id: str | None,
    queue: str | None,
    queues: Collection[str] | None,
) -> Mapping[str, Numbers]:
    moment = store().clock(now)
    step = HOUR if period >= DAY else MINUTE
    since = floor(moment - period, step)
    whole: defaultdict[str, Tally] = defaultdict(Tally)
    _read(
        since, moment, lambda _start, key: (whole[key],), step=step, by=(name,), task_id=task_id, queue=queue,
        queues=queues,
    )  # fmt: skip
    return {key: Numbers.of(tally, since, after(moment)) for key, tally in sorted(whole.items())}


def _read(
    since: datetime,
    moment: datetime,
    places: Callable[..., tuple[Tally, ...]],
    *,
    step: timedelta,
    by: tuple[str, ...],
    task_id: str | None,
    queue: str | None,
    queues: Collection[str] | None,
    counts_only: bool = False,
) -> bool:
    """Add what there is to the tallies that ``places`` names for a step and these columns.

    Return whether what is not rolled up could not be read.
    """
    stopped = False
    only: dict[str, Any] = {
        name: value for name, value in (("task_id", task_id), ("queue", queue)) if value is not None
    }
    if queues is not None:
        only["queue__in"] = sorted(queues)
    # The marks first: what is written after this look is left to the runs.
    marks = {mark.name: mark.until for mark in RollupMark.objects.using(store().alias).all()}
    spans, live = _spans(since, moment, step=step, marks=marks)
    for name, begin, end in spans:
        kept = config.retention[name]
        if kept is not None and begin < moment - kept:
            raise ValueError(
                _("{name} are kept for {kept}. Ask for less, or for longer steps.", name=name, kept=kept)
            )
        rows = Rollup.objects.using(store().alias).filter(
            period=rollups.seconds(name), start__gte=begin, start__lt=end, **only
        )
        if counts_only:
            for row in tallies.counts(rows, "start", *by):
                for place in places(floor(row["start"], step), *(row[column] for column in by)):
                    place.take_counts(row)
            continue
        found = tallies.by_place(tallies.rows(rows, "start", *by))
        tallies.add_up(found, lambda start, *columns: places(floor(start, step), *columns))
    try:
        with nullcontext() if moment - live <= USUAL else store().bounded(LIMIT):
            minutes = rollups.tallied(live, after(moment), task_id=task_id, queue=queue)
    except OperationalError as error:
        if not took_too_long(error):
            raise
        minutes, stopped = {}, True
    for (start, task, line), tally in minutes.items():
        if queues is not None and line not in queues:
            continue
        names = {"task_id": task, "queue": line}
        for place in places(floor(start, step), *(names[column] for column in by)):
            place.add(tally)
    return stopped


def _spans(
    since: datetime, moment: datetime, *, step: timedelta, marks: Mapping[str, datetime]
) -> tuple[list[tuple[str, datetime, datetime]], datetime]:
    """Return which rows to read from where to where, the coarsest that fit first; and where the runs begin."""
    spans, at = [], since
    for name in reversed(PERIODS):
        until = min(marks.get(name, since), floor(moment, PERIODS[name]))
        if step % PERIODS[name] == timedelta(0) and until > at and floor(at, PERIODS[name]) == at:
            spans.append((name, at, until))
            at = until
    return spans, at


def after(moment: datetime) -> datetime:
    """Return the end of a window that holds this moment too."""
    return moment.astimezone(UTC) + timedelta(microseconds=1)
