"""The line between a supervisor and one worker: the worker says who and how it is, and hears when it is alone.

A pair of connected sockets, made before the worker's process and shared with nobody else. One JSON object a line,
from the worker only. When the supervisor's end is gone, however it went, the worker stops as after SIGTERM.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

AGAIN: Final = 75
"""Exit code with which a worker asks for a fresh process of the same command (EX_TEMPFAIL of sysexits.h)."""
VARIABLE: Final = "OPENQUEUE_TETHER"
"""Holds the number of the worker's end, and when its process was begun: "5@1764235112.25". It is taken out of the
environment before any body runs."""


class Tether:
    """The worker's end; every method is safe from any thread."""

    def __init__(self, end: socket.socket, *, began: float) -> None:
        self.end = end
        self.began = began
        """By the clock of this host, in seconds; no module was loaded before."""
        self.lock = threading.Lock()

    @classmethod
    def inherited(cls) -> Tether | None:
        """Return the end that a supervisor gave to this process; None without a supervisor."""
        told = os.environ.pop(VARIABLE, None)
        if told is None:
            return None
        number, _, began = told.partition("@")
        end = socket.socket(fileno=int(number))
        end.set_inheritable(False)  # a program that a body starts must not hold the line
        return cls(end, began=float(began))

    def introduce(self, worker_id: UUID) -> None:
        """Name the incarnation that this process is about to be: said first, so that none is ever unknown."""
        self.say(incarnation=str(worker_id))

    def sign_off(self, *, through: bool) -> None:
        """Say that this process ends in order; ``through``: nobody need follow."""
        self.say(through=through)

    def mention(self, **facts: Any) -> None:
        """Say how things stand, unless the supervisor has not listened for so long that one would have to wait."""
        with suppress(OSError, ValueError):
            if select.select([], [self.end], [], 0)[1]:
                self.say(**facts)

    def say(self, **facts: Any) -> None:
        with self.lock, suppress(OSError):  # the supervisor is gone: `watch` hears of it
            self.end.sendall(json.dumps(facts).encode() + b"\n")

    def watch(self, alone: Callable[[], None]) -> None:
        """Call ``alone`` when the supervisor is gone."""

        def wait() -> None:
            with suppress(OSError):
                while self.end.recv(64):
                    pass
            alone()

        threading.Thread(target=wait, name="openqueue-tether", daemon=True).start()


class Hand:
    """The supervisor's end."""

    def __init__(self) -> None:
        self.end, self.other = socket.socketpair()
        self.end.setblocking(False)
        self.rest = b""
        self.is_cut = False
        """The worker's end is closed, though the worker may live."""

    def given(self) -> None:
        """Forget the other end, once the worker's process has it."""
        self.other.close()

    def heard(self) -> list[dict[str, Any]]:
        """Return what was said since; never waits."""
        try:
            while piece := self.end.recv(65_536):
                self.rest += piece
            self.is_cut = True
        except BlockingIOError:
            pass
        except ConnectionError:
            self.is_cut = True
        *lines, self.rest = self.rest.split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self.end.close()
        self.other.close()
