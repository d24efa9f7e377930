"""A broker of the test tree: queues in memory behind a TCP port, JSON lines, and every bad habit a broker can have."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(slots=True)
class Kept:
    """One message: waiting until it is taken, then in flight until it is settled or its deadline comes."""

    number: int
    queue: str
    body: str
    rank: int = 0
    visible_at: float = 0.0
    deadline: float | None = None


@dataclass
class Habits:
    """What it does wrong. The counts run down by one with each message."""

    lose: int = 0
    """Confirm so many messages and keep none of them."""
    double: int = 0
    """Keep so many messages twice."""
    delay: float = 0.0
    """Show each new message so many seconds late."""
    reorder: random.Random | None = None
    """Hand messages out in the order of this generator, not in theirs."""
    seen: list[str] = field(default_factory=list)
    """The body of every message that ever arrived."""


class Broker:
    """Serves from a thread of the test's process; workers and web processes reach it by its port."""

    def __init__(self, *, in_flight: float = 2.0) -> None:
        self.in_flight = in_flight
        self.habits = Habits()
        self.port = 0
        self.kept: dict[int, Kept] = {}
        self.changed = threading.Condition()
        self.number = 0
        self._listener: socket.socket | None = None
        self._clients: list[socket.socket] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- what a test does to it -------------------------------------------------------------------------------

    def start(self) -> None:
        """Serve, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def stop(self) -> None:
        """Go away: clients are thrown out, new ones refused. What it holds it still holds when it is back."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        with self.changed:
            ends, self._clients = [listener, *self._clients], []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def flush(self) -> int:
        """Lose everything; return how much that was."""
        with self.changed:
            lost = len(self.kept)
            self.kept.clear()
        return lost

    def put(self, queue: str, body: str) -> None:
        """Put anything into a queue, as anybody who can reach a broker may."""
        with self.changed:
            self.keep({"queue": queue, "body": body})
            self.changed.notify_all()

    @property
    def depth(self) -> int:
        """How many messages wait or are in flight."""
        with self.changed:
            return len(self.kept)

    # --- what clients ask for ---------------------------------------------------------------------------------

    def publish(self, messages: list[dict[str, Any]]) -> list[str]:
        with self.changed:
            refs = []
            for message in messages:
                self.habits.seen.append(message["body"])
                if self.habits.lose > 0:
                    self.habits.lose -= 1
                    self.number += 1
                else:
                    self.keep(message)
                    if self.habits.double > 0:
                        self.habits.double -= 1
                        self.keep(message)
                refs.append(str(self.number))
            self.changed.notify_all()
        return refs

    def receive(self, queues: list[str], limit: int, timeout: float) -> list[dict[str, Any]]:
        until = time.monotonic() + timeout
        with self.changed:
            while not (taken := self.take(queues, limit)) and (left := until - time.monotonic()) > 0:
                self.changed.wait(min(left, 0.05))
        return [{"number": m.number, "queue": m.queue, "body": m.body} for m in taken]

    def ack(self, numbers: list[int]) -> None:
        with self.changed:
            for number in numbers:
                self.kept.pop(number, None)

    def release(self, numbers: list[int]) -> None:
        with self.changed:
            for number in numbers:
                if number in self.kept:
                    self.kept[number].deadline = None
            self.changed.notify_all()

    def missing(self, refs: list[str | None]) -> list[bool]:
        with self.changed:
            return [ref is None or int(ref) not in self.kept for ref in refs]

    def inspect(self, queue: str) -> list[int]:
        with self.changed:
            mine = [m for m in self.kept.values() if m.queue == queue]
            return [sum(m.deadline is None for m in mine), sum(m.deadline is not None for m in mine)]

    # --- how it works -----------------------------------------------------------------------------------------

    def keep(self, message: dict[str, Any]) -> None:
        self.number += 1
        visible_at = time.monotonic() + self.habits.delay
        self.kept[self.number] = Kept(self.number, **message, visible_at=visible_at)

    def take(self, queues: list[str], limit: int) -> list[Kept]:
        now = time.monotonic()
        free = [
            m
            for m in self.kept.values()
            if m.queue in queues and m.visible_at <= now and (m.deadline is None or m.deadline <= now)
        ]
        free.sort(key=lambda m: (m.rank, m.number))
        if self.habits.reorder is not None:
            self.habits.reorder.shuffle(free)
        for message in free[:limit]:
            message.deadline = now + self.in_flight
        return free[:limit]

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with self.changed:
                    self._clients.append(client)
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            client,
            client.makefile("rw", encoding="utf-8") as lines,
        ):
            for line in lines:
                request = json.loads(line)
                answer = getattr(self, request.pop("do"))(**request)
                lines.write(json.dumps(answer) + "\n")
                lines.flush()
