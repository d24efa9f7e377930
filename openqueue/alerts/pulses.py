"""Asks runtimes whether they answer, each in a thread of its own: a broker that hangs holds up no sweep."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from django.db import connections

from openqueue import runtimes
from openqueue.conf import config

PATIENCE: Final = 2.5
"""Seconds for all runtimes together: their own limit is 2 s."""


@dataclass(slots=True)
class Question:
    """One runtime being asked."""

    asked_at: float
    answered: threading.Event = field(default_factory=threading.Event)
    fault: str | None = None


class Pulses:
    """The last question to each runtime: while it stands, nobody asks again."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.asked: dict[str, Question] = {}

    def read(self) -> dict[str, str | None]:
        """Return what each said that is down, and None for those that answer."""
        until = time.monotonic() + self.patience
        for alias in config.runtimes:
            self.ask(alias)
        found: dict[str, str | None] = {}
        for alias, question in self.asked.items():
            if question.answered.wait(max(0.0, until - time.monotonic())):
                found[alias] = question.fault
            else:
                found[alias] = f"No answer for {time.monotonic() - question.asked_at:.0f} s."
        return found

    def ask(self, alias: str) -> None:
        question = self.asked.get(alias)
        if question is not None and not question.answered.is_set():
            return
        question = self.asked[alias] = Question(time.monotonic())
        if not _is_distant(
            alias
        ):  # the database: this thread's own connection answers, or the sweep fails as a whole
            question.fault = _fault(alias)
            question.answered.set()
            return
        threading.Thread(
            target=_answer, args=(alias, question), name=f"openqueue-pulse-{alias}", daemon=True
        ).start()


def _answer(alias: str, question: Question) -> None:
    try:
        question.fault = _fault(alias)
    finally:
        connections.close_all()
        question.answered.set()


def _fault(alias: str) -> str | None:
    try:
        health = runtimes.get(alias).health()
    except Exception as error:  # whatever a broker's client raises is the answer
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return None if health.ok else health.detail[:300]


def _is_distant(alias: str) -> bool:
    try:
        return runtimes.get(alias).carries_messages
    except Exception:  # it cannot be made: asking it says why
        return True
