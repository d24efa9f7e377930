"""What a task declares and what one occasion changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast, get_args

from django.utils import timezone

from openqueue import limits, retry
from openqueue.conf import DEFAULT_QUEUE, NAME
from openqueue.errors import TaskDeclarationError

Duration = float | timedelta
DedupeScope = Literal["task", "queue", "all"]
DedupeUntil = Literal["end", "start"]
BackoffLike = retry.Backoff | Duration | Sequence[Duration]

LOWEST, HIGHEST = -100, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a task declares and ``using()`` overrides. Durations are seconds or timedelta."""

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    """-100 to 100; higher runs sooner."""
    max_attempts: int = 3
    backoff: BackoffLike = retry.DEFAULT_BACKOFF
    timeout: Duration | None = None
    """For one attempt."""
    ttl: Duration | None = None
    """From the due time to the first start."""
    delay: Duration | None = None
    run_at: datetime | None = None
    ordering_key: str | None = None
    """One run of a key at a time, in due order; a format of the arguments: ``"account:{account_id}"``."""
    concurrency_key: str | None = None
    """What `max_concurrency` and `rate_limit` count by, instead of by the task; a format of the arguments."""
    tags: Sequence[str] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    dedupe_key: str | None = None
    """While a run has it, triggering its like gives that run."""
    dedupe_scope: DedupeScope = "task"
    """Among the runs of this task, of this queue, or among all that say so."""
    dedupe_until: DedupeUntil | None = None
    """It is free again once the run has ended (the default), or has started."""
    dedupe_window: Duration | None = None
    """From the trigger: meanwhile a run that has completed answers too, with its result."""
    debounce: Duration | None = None
    """Every further trigger puts the start off by so much, and its payload is the one that counts."""
    debounce_max: Duration | None = None
    """From the first trigger: then it starts, whatever comes."""
    atomic: bool = True
    """False: trigger even though another database's transaction is open."""

    def checked(self) -> Options:
        """Return these options with durations in seconds; raise TaskDeclarationError naming each wrong one."""
        given: Any = self  # what a user typed may be anything
        wrong = []
        if not isinstance(given.queue, str) or not NAME.fullmatch(given.queue):
            wrong.append(f"queue={given.queue!r} must match {NAME.pattern}")
        if not is_whole(given.priority) or not LOWEST <= given.priority <= HIGHEST:
            wrong.append(f"priority={given.priority!r} must be a whole number from {LOWEST} to {HIGHEST}")
        if not is_whole(given.max_attempts) or not 1 <= given.max_attempts <= 10_000:
            wrong.append(f"max_attempts={given.max_attempts!r} must be a whole number from 1 to 10000")
        if not isinstance(given.tags, list | tuple) or not all(isinstance(tag, str) for tag in given.tags):
            wrong.append(f"tags={given.tags!r} must be a list of strings")
        if not isinstance(given.meta, Mapping):
            wrong.append(f"meta={given.meta!r} must be a dictionary")
        if given.delay is not None and given.run_at is not None:
            wrong.append("delay= and run_at= cannot both be given")
        if given.run_at is not None and not isinstance(given.run_at, datetime):
            wrong.append(f"run_at={given.run_at!r} must be a datetime")
        keys = (limits.check_key(name, getattr(given, name)) for name in ("ordering_key", "concurrency_key"))
        wrong += [problem for problem in keys if problem is not None]
        wrong += self.wrong_about_keys(given)
        durations: dict[str, Any] = {}
        for name, least in (
            ("timeout", 0.001),
            ("ttl", 0.001),
            ("delay", None),
            ("dedupe_window", 0.001),
            ("debounce", 0.001),
            ("debounce_max", 0.001),
        ):
            value = getattr(self, name)
            try:
                durations[name] = seconds(value)
            except (TypeError, ValueError, OverflowError):
                wrong.append(f"{name}={value!r} must be seconds or a timedelta")
                continue
            if least is not None and durations[name] is not None and durations[name] < least:
                wrong.append(f"{name}={value!r} must be above 0")
        try:
            retry.Backoff.of(cast(Any, self.backoff))
        except (TypeError, ValueError) as error:
            wrong.append(f"backoff={self.backoff!r}: {error}")
        if wrong:
            raise TaskDeclarationError("; ".join(wrong))
        run_at = self.run_at
        if run_at is not None and timezone.is_naive(run_at):
            run_at = timezone.make_aware(run_at)  # as Django reads a naive datetime: in TIME_ZONE
        return replace(self, run_at=run_at and run_at.astimezone(UTC), **durations)

    @staticmethod
    def wrong_about_keys(given: Any) -> list[str]:
        key, wrong = given.dedupe_key, []
        if key is not None and (not isinstance(key, str) or not 1 <= len(key) <= LONGEST_KEY):
            wrong.append(f"dedupe_key={key!r} must be a text of 1 to {LONGEST_KEY} characters")
        elif key is not None and ("\0" in key or not key.isprintable()):
            wrong.append(f"dedupe_key={key!r} must be of printable characters")
        if given.dedupe_scope not in get_args(DedupeScope):
            wrong.append(f'dedupe_scope={given.dedupe_scope!r} must be "task", "queue" or "all"')
        if given.dedupe_until is not None and given.dedupe_until not in get_args(DedupeUntil):
            wrong.append(f'dedupe_until={given.dedupe_until!r} must be "end" or "start"')
        if given.debounce is not None and (given.delay is not None or given.run_at is not None):
            wrong.append(
                "debounce= says itself when the run is due: delay= and run_at= cannot be given with it"
            )
        if given.debounce is not None and given.dedupe_until == "end":
            wrong.append('debounce= changes what has not started: dedupe_until="end" cannot be given with it')
        if given.debounce_max is not None and given.debounce is None:
            wrong.append("debounce_max= needs debounce=")
        return wrong


LONGEST_KEY: Final = 200
"""Characters."""
NAMES: Final = frozenset(f.name for f in fields(Options))
DECLARABLE: Final = NAMES - {"delay", "run_at", "atomic"}


def seconds(value: Any) -> float | None:
    """Return a duration in seconds; None stays None."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 3.2e9:
        raise ValueError(value)
    return float(value)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
