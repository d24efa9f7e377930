"""What parent and child say to each other: one JSON object a line, no pickle.

parent to child   {"databases", "parent"}             first: how to become the same project
                  {"attempt", "module"}                           run this
                  {"stop"}                                        on the second socket: whoever runs, you are not wanted
child to parent   {"ready": rss}                                  first: bring work
                  {"log": [level, text]}, {"progress": [percent, message]}
                  {"end", "progress", "rss"}                      the outcome; the newest progress, the memory: if any
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from openqueue.states import Kind, Reason, Status
from openqueue.types import Claimed, Outcome

CHUNK: Final = 65_536


class Broken(Exception):
    """The other side says what nobody of ours would say."""


class Lines:
    """One end of a socket that carries lines of JSON; anybody may send, one thread receives."""

    def __init__(self, end: socket.socket, *, longest: int) -> None:
        self.end = end
        self.longest = longest
        self.lock = threading.Lock()
        self.buffer = bytearray()
        self.ready: list[dict[str, Any]] = []
        """Lines that have arrived, the next one last."""
        self.over = False
        """Nothing more will arrive."""

    def send(self, **message: Any) -> None:
        """Send one line; raise OSError when nobody is there."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self.lock:
            self.end.sendall(line)

    def receive(self, *, wait: bool = True) -> dict[str, Any] | None:
        """Return the next line; None when it is `over`, or when none is here and nobody should ``wait``.

        Raises:
            Broken: it is no JSON object, or has no end.
        """
        while not self.ready:
            try:
                chunk = self.end.recv(CHUNK, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            except OSError:
                chunk = b""
            if not chunk:
                self.over = True
                return None
            self.buffer += chunk
            if len(self.buffer) > self.longest:
                raise Broken(f"a line of more than {self.longest:,} bytes")
            if b"\n" in chunk:
                *lines, rest = self.buffer.split(b"\n")
                self.buffer = rest
                self.ready = [read(line) for line in reversed(lines)]
        return self.ready.pop()


def read(line: bytes | bytearray) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise Broken(f"no JSON: {bytes(line[:80])!r}") from error
    if not isinstance(message, dict):
        raise Broken(f"no object: {bytes(line[:80])!r}")
    return message


def attempt_to_json(attempt: Claimed) -> list[Any]:
    return [str(value) if isinstance(value, UUID) else value for value in attempt]


def attempt_of(values: Sequence[Any]) -> Claimed:
    run, token, worker, *rest, flow, key = values
    return Claimed._make([UUID(run), UUID(token), UUID(worker), *rest, flow and UUID(flow), key])


def outcome_to_json(outcome: Outcome) -> list[Any]:
    """Return what the child may say of an outcome: which run it is of, the parent knows."""
    return [
        outcome.kind,
        outcome.status,
        outcome.reason,
        outcome.result,
        outcome.error,
        outcome.data,
        outcome.delay,
        outcome.written,
    ]


def outcome_of(values: Sequence[Any], attempt: Claimed, *, age: float | None) -> Outcome:
    """Return the outcome that a child told, of the attempt that it was given.

    Raises:
        Broken: it is none.
    """
    try:
        kind, status, reason, result, error, data, delay, written = values
        return Outcome(
            attempt.run_id,
            attempt.token,
            Kind(kind),
            Status(status),
            Reason(reason),
            result=text(result),
            error=text(error),
            data=text(data),
            delay=float(delay),
            age=age,
            attempt=attempt.attempt,
            linked=attempt.is_linked,
            written=written is True,
        )
    except (TypeError, ValueError) as problem:
        raise Broken(f"no outcome: {problem}") from problem


def text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Broken(f"no text: {value!r:.80}")
    return value
