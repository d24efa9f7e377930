"""How long a run waits before its next attempt: values that can travel as JSON."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, ClassVar, Final

from openqueue.errors import MAX_RETRY_DELAY

Seconds = float | timedelta

_kinds: dict[str, type[Backoff]] = {}


class Backoff(ABC):
    """A retry policy. To make another, subclass it as a frozen dataclass of JSON values with a `kind`."""

    __slots__ = ()

    kind: ClassVar[str]
    """Its name in the run's options, unique among all policies."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        kind = cls.__dict__.get("kind", "")
        known = _kinds.get(kind, cls)
        # not `is`: slots=True makes every class twice
        if not kind or (known.__module__, known.__name__) != (cls.__module__, cls.__name__):
            raise TypeError(f"{cls.__name__} needs a `kind` of its own: {kind!r} is {known.__name__}'s")
        _kinds[kind] = cls

    @abstractmethod
    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after attempt number ``attempt`` (the first is 1) has failed."""

    def to_json(self) -> dict[str, Any]:
        """Return the policy as a JSON object that `from_json` reads back."""
        own = fields(self)  # type: ignore[arg-type]  # every policy is a dataclass
        return {"kind": self.kind} | {field.name: getattr(self, field.name) for field in own}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Backoff:
        """Return the policy that `to_json` wrote; raise ValueError for anything else."""
        try:
            arguments = dict(value)
            return _kinds[arguments.pop("kind")](**arguments)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a backoff that this process knows: {value!r}") from error

    @staticmethod
    def of(value: Backoff | Seconds | Sequence[Seconds]) -> Backoff:
        """Return what `backoff=` means: a policy, one number of seconds, or one for each failed attempt."""
        if isinstance(value, Backoff):
            return value
        if isinstance(value, Sequence):
            return Listed(delays=tuple(_plain(delay) for delay in value))
        return Listed(delays=(_plain(value),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Backoff):
    """Each delay is the one before times `factor`, at most `max` seconds."""

    kind = "exponential"

    base: float
    factor: float
    max: float
    jitter: float
    """Spreads a delay over itself plus or minus this fraction, so that a crowd does not come back at once."""

    def __post_init__(self) -> None:
        _check(self, "base", "factor", "max", "jitter")
        if self.jitter > 1:
            raise ValueError(f"jitter= must be a fraction from 0 to 1, not {self.jitter!r}")

    def delay(self, attempt: int) -> float:
        """Return base x factor^(attempt - 1), spread by the jitter."""
        try:
            exact = min(self.base * self.factor ** (max(attempt, 1) - 1), self.max)
        except OverflowError:
            exact = self.max if self.base else 0.0
        if not self.jitter:
            return exact
        # The upper end is cut, not the value drawn: otherwise half of a crowd would land on max together.
        return random.uniform(exact * (1 - self.jitter), min(exact * (1 + self.jitter), self.max))  # noqa: S311


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Backoff):
    """Each delay is longer than the one before by `step`, at most `max` seconds."""

    kind = "linear"

    step: float
    max: float

    def __post_init__(self) -> None:
        _check(self, "step", "max")

    def delay(self, attempt: int) -> float:
        """Return step x attempt."""
        return min(self.step * max(attempt, 1), self.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Backoff):
    """One delay for each failed attempt; the last one serves all that follow."""

    kind = "listed"

    delays: tuple[float, ...]

    def __post_init__(self) -> None:
        delays = tuple(_checked(delay, name="backoff") for delay in self.delays)
        if not delays:
            raise ValueError("backoff= is empty: give at least one delay in seconds")
        object.__setattr__(self, "delays", delays)

    def delay(self, attempt: int) -> float:
        """Return the delay at this attempt's place."""
        return self.delays[min(max(attempt, 1), len(self.delays)) - 1]


def exponential(
    base: Seconds = 1,
    factor: float = 2,
    max: Seconds = 600,
    jitter: float = 0.1,
) -> Backoff:
    """Return a policy that waits base, base x factor, base x factor^2 ... seconds, each at most `max`."""
    return Exponential(base=_plain(base), factor=factor, max=_plain(max), jitter=jitter)


def linear(step: Seconds = 1, max: Seconds = 600) -> Backoff:
    """Return a policy that waits step, 2 x step, 3 x step ... seconds, each at most `max`."""
    return Linear(step=_plain(step), max=_plain(max))


def fixed(seconds: Seconds) -> Backoff:
    """Return a policy that always waits the same number of seconds."""
    return Listed(delays=(_plain(seconds),))


def _plain(value: Seconds) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _check(backoff: Backoff, *names: str) -> None:
    for name in names:
        object.__setattr__(backoff, name, _checked(getattr(backoff, name), name=name))


def _checked(value: object, *, name: str) -> float:
    """Return a number as a float, so that equal policies are equal, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}= must be a number (of seconds), not {value!r}")  # noqa: TRY004
    if not 0 <= value <= MAX_RETRY_DELAY.total_seconds():  # NaN is refused here too
        raise ValueError(f"{name}= must be from 0 to ten years of seconds, not {value!r}")
    return float(value)


DEFAULT_BACKOFF: Final = exponential(base=1, factor=2, max=600, jitter=0)
