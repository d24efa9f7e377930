"""One conversation with the API, without a network: what to ask next, when to ask again, what an answer means.

A conversation is a generator that yields what it wants done, an `Ask` or a `Pause`, and returns its result. The two
clients do what it wants, one blocking and one awaiting, so that every rule stands here once.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple, TypeVar

import msgspec

from openqueue.client.errors import NoAnswer, StrangeAnswer, refusal
from openqueue.client.values import Problem

T = TypeVar("T")
FIRST_PAUSE: Final = 0.5
"""Seconds, at most, before a request is sent again; doubled each time."""
LONGEST_PAUSE: Final = 15.0
TOO_MANY: Final = 429
BUSY: Final = frozenset({502, 503, 504})
"""A server or what stands in front of it: whether the request was done is not known."""
NOT_MODIFIED: Final = 304
PROBLEM: Final = "application/problem+json"
LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request to send."""

    method: str = "GET"
    path: str
    """Below the version: runs/batch."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Sent twice it does what it does once."""
    within: float | None = None
    """Seconds for this request, where there is less time than usual."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class Lost(NamedTuple):
    """No answer came."""

    why: str
    sent: bool
    """It may have been done."""


class Pause(NamedTuple):
    """Time to let pass."""

    seconds: float


Talk = Generator[Ask | Pause, Answer | Lost | None, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client goes on asking."""

    tries: int = 5
    seconds: float = 60.0
    """Of pauses, in all; a Retry-After beyond them is not waited for."""


def ask(wanted: Ask, patience: Patience) -> Talk[Answer]:
    """Ask until there is an answer that counts.

    Raises:
        NoAnswer: nobody answered in as many tries.
        Refused: the API said no, and asking again would not help, or not in time.
        StrangeAnswer: something else answered.
    """
    paused = 0.0
    tries = 0
    while True:
        came = yield wanted
        tries += 1
        if not isinstance(came, Answer | Lost):
            raise TypeError(f"an Ask is answered with an Answer or a Lost, not {came!r}")
        pause = _again_in(came, wanted, tries)
        if pause is None or tries >= patience.tries or paused + pause > patience.seconds:
            return _judged(came, wanted)
        paused += pause
        yield Pause(pause)


def decode(answer: Answer, kind: type[T]) -> T:
    """Return the value of a body.

    Raises:
        StrangeAnswer: it is of another shape.
    """
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StrangeAnswer(f"{_excerpt(answer)}: {error}. {StrangeAnswer.default_message()}") from None


def _again_in(came: Answer | Lost, wanted: Ask, tries: int) -> float | None:
    """Return after how many seconds to ask again; None: not at all."""
    usual = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1)) * random.uniform(0.5, 1)  # noqa: S311  # no secret
    if isinstance(came, Lost):
        return usual if wanted.repeatable or not came.sent else None
    if came.status == TOO_MANY or (came.status in BUSY and wanted.repeatable):
        named = _retry_after(came)
        return usual if named is None else named
    return None


def _retry_after(answer: Answer) -> float | None:
    """Read Retry-After, which is seconds or a moment (RFC 9110, section 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _judged(came: Answer | Lost, wanted: Ask) -> Answer:
    if isinstance(came, Lost):
        raise NoAnswer(f"{wanted.method} {wanted.path}: {came.why}. {NoAnswer.default_message()}")
    if came.status < 300 or came.status == NOT_MODIFIED:
        return came
    kind = came.headers.get("content-type", "").partition(";")[0].strip()
    if kind == PROBLEM:
        raise refusal(decode(came, Problem), retry_after=_retry_after(came))
    if came.status == TOO_MANY or came.status in BUSY:
        detail = "What stands in front of the API sent this."
        problem = Problem(status=came.status, code="unavailable", detail=detail)
        raise refusal(problem, retry_after=_retry_after(came))
    raise StrangeAnswer(f"{wanted.method} {wanted.path}: {_excerpt(came)}. {StrangeAnswer.default_message()}")


def _excerpt(answer: Answer) -> str:
    text = answer.body[:LONGEST_TEXT].decode("utf-8", "replace")
    return f"{answer.status}, {text!r}" if text else str(answer.status)
