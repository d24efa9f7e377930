"""Questions to brokers, each in a thread of its own: one that hangs holds up nobody, and is asked once at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import connections

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Probe(Generic[Answer]):
    """One question on its way."""

    question: Callable[[], Answer]
    began_at: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None

    def ask(self) -> None:
        """Ask, in the thread that is there for it."""
        try:
            self.answer = self.question()
        finally:
            connections.close_all()
            self.done.set()

    def wait(self, until: float) -> Answer | None:
        """Return what was answered by then, on the clock of ``time.monotonic``; None: nothing so far."""
        self.done.wait(max(0.0, until - time.monotonic()))
        return self.answer

    @property
    def age(self) -> float:
        """Return for how many seconds it has been asked."""
        return time.monotonic() - self.began_at


class Probes(Generic[Answer]):
    """Questions of one kind, each known by a key."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lock = threading.Lock()
        self.asking: dict[Hashable, Probe[Answer]] = {}
        """The last one of each key: while it stands nobody asks again."""

    def start(self, key: Hashable, question: Callable[[], Answer]) -> Probe[Answer]:
        """Ask, unless the same question stands: then that one is returned."""
        with self.lock:
            probe = self.asking.get(key)
            if probe is not None and not probe.done.is_set():
                return probe
            probe = self.asking[key] = Probe(question)
        threading.Thread(target=probe.ask, name=f"openqueue-{self.kind}-{key}", daemon=True).start()
        return probe
