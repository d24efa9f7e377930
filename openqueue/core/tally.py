"""What is known of many ended runs: counts, and histograms that tell percentiles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from django.db.models import CharField, FloatField, IntegerField, Max, Sum, TextField, Value
from django.db.models.functions import Cast

from openqueue import codec
from openqueue.models import Rollup
from openqueue.store.endings import OUTCOMES, SHORTEST, STEPS, Ended

T = TypeVar("T")


class Tally:
    """Counts that add up, whatever the order in which they are added."""

    __slots__ = ("counts", "crashes", "longest", "retries", "run_seconds", "times", "wait_seconds", "waits")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.retries = self.crashes = 0
        self.waits: Counter[int] = Counter()
        self.times: Counter[int] = Counter()
        self.wait_seconds = self.run_seconds = self.longest = 0.0

    def take(self, ended: Ended) -> None:
        """Add runs that ended alike."""
        self.counts[ended.outcome] += ended.number
        self.retries += ended.retries
        self.crashes += ended.crashes
        if ended.wait is not None:
            self.waits[ended.wait] += ended.number
            self.wait_seconds += max(0.0, ended.wait_seconds or 0.0)
        if ended.time is not None:
            self.times[ended.time] += ended.number
            self.run_seconds += max(0.0, ended.run_seconds or 0.0)
            self.longest = max(self.longest, ended.longest or 0.0)

    def take_rows(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add roll-ups, as `rows` returns them: a column at a time, and each histogram as often as it is there."""
        *counts, retries, crashes, wait_seconds, run_seconds, longest, waits, times = zip(*rows, strict=True)
        for outcome, numbers in zip(OUTCOMES, counts, strict=True):
            self.counts[outcome] += sum(numbers)
        self.retries += sum(retries)
        self.crashes += sum(crashes)
        for histogram, texts in ((self.waits, waits), (self.times, times)):
            for text, often in Counter(texts).items():
                for bucket, count in _read(text):
                    histogram[bucket] += often * count
        self.wait_seconds += sum(wait_seconds)
        self.run_seconds += sum(run_seconds)
        self.longest = max(self.longest, *longest)

    def take_counts(self, row: Mapping[str, Any]) -> None:
        """Add what `counts` returns."""
        for outcome in OUTCOMES:
            self.counts[outcome] += row[f"all_{outcome}"]

    def add(self, other: Tally) -> None:
        """Add another tally."""
        _add(self.counts, other.counts)
        self.retries += other.retries
        self.crashes += other.crashes
        _add(self.waits, other.waits)
        _add(self.times, other.times)
        self.wait_seconds += other.wait_seconds
        self.run_seconds += other.run_seconds
        self.longest = max(self.longest, other.longest)

    def row(self, **place: Any) -> Rollup:
        """Return the roll-up that says this."""
        return Rollup(
            **place,
            **{outcome: self.counts[outcome] for outcome in OUTCOMES},
            retries=self.retries,
            crashes=self.crashes,
            waits={str(bucket): count for bucket, count in sorted(self.waits.items())},
            times={str(bucket): count for bucket, count in sorted(self.times.items())},
            wait_seconds=self.wait_seconds,
            run_seconds=self.run_seconds,
            longest=self.longest,
        )


def _add(found: Counter[T], other: Counter[T]) -> None:
    # Not Counter.update: a page adds ten thousands of these, and it asks each what kind of mapping it got.
    for name, count in other.items():
        found[name] += count


NUMBERS = (*OUTCOMES, "retries", "crashes", "wait_seconds", "run_seconds", "longest")
TEXTS = {"waits_text": Cast("waits", TextField()), "times_text": Cast("times", TextField())}
WIDTH = len(NUMBERS) + len(TEXTS)


def rows(found: Any, *names: str) -> Any:
    """Return these roll-ups: what `take_rows` takes, WIDTH columns, and behind it these columns.

    A month of hundreds of tasks is tens of thousands of them. Most are of few runs, so that many histograms are the
    same text: each text is read once.
    """
    return found.order_by().annotate(**TEXTS).values_list(*NUMBERS, *TEXTS, *names)


def by_place(found: Iterable[Sequence[Any]]) -> dict[tuple[Any, ...], list[Sequence[Any]]]:
    """Return what `take_rows` takes, by the columns that stand behind it."""
    places: defaultdict[tuple[Any, ...], list[Sequence[Any]]] = defaultdict(list)
    for row in found:
        places[tuple(row[WIDTH:])].append(row[:WIDTH])
    return places


def add_up(
    found: Mapping[tuple[Any, ...], Sequence[Sequence[Any]]], places: Callable[..., Sequence[Tally]]
) -> None:
    """Add what `by_place` returns to every tally that ``places`` names for these columns."""
    together: defaultdict[Tally, list[Sequence[Any]]] = defaultdict(list)
    for columns, some in found.items():
        for tally in places(*columns):
            together[tally] += some
    for tally, some in together.items():
        tally.take_rows(some)


def mixed(apart: Any, together: Any) -> Any:
    """Return roll-ups by start and queue, and others by start alone, added up by the database; in one statement.

    The latter have no histograms and no queue. Both are as `rows` returns them, start and queue being behind.
    """
    added = {f"all_{name}": Cast(Sum(name), IntegerField()) for name in (*OUTCOMES, "retries", "crashes")}
    added |= {f"all_{name}": Cast(Sum(name), FloatField()) for name in ("wait_seconds", "run_seconds")}
    added |= {"all_longest": Cast(Max("longest"), FloatField())}
    nothing = {f"all_{name}": Cast(Value("{}"), TextField()) for name in TEXTS}
    summed = together.order_by().values("start").annotate(
        of=Cast(Value(""), CharField(max_length=63)), **added, **nothing
    )  # fmt: skip
    other = summed.values_list(*(f"all_{name}" for name in (*NUMBERS, *TEXTS)), "start", "of")
    return rows(apart, "start", "queue").union(other, all=True)


def counts(found: Any, *names: str) -> Any:
    """Return how many ended how, for each of these columns, as `take_counts` takes them: the database adds up."""
    sums = {f"all_{outcome}": Sum(outcome) for outcome in OUTCOMES}
    return found.order_by().values(*names).annotate(**sums)


@lru_cache(maxsize=20_000)
def _read(histogram: str) -> tuple[tuple[int, int], ...]:
    return tuple((int(bucket), count) for bucket, count in codec.decode(histogram).items())


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """Return the seconds that this share of the runs took at most, to within a tenth; None without runs."""
    total = sum(histogram.values())
    if not total:
        return None
    left = share * total
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        if left <= 0:
            break
    return middle(bucket)


def middle(bucket: int) -> float:
    """Return the seconds in the middle of a bucket, as lengths go."""
    return SHORTEST * 2.0 ** ((bucket - 0.5) / STEPS) if bucket else SHORTEST
