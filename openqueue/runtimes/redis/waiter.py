"""Waits for a token in one of some lists, on connections of its own, so that no command waits behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from select import POLLIN, poll
from socket import MSG_DONTWAIT, socketpair
from typing import Any, Final

from redis.crc import key_slot

from openqueue.runtimes.redis.link import FAILURES, Link, RedisFailed

LATE: Final = 2.0
"""Seconds after its own end at which a wait that the server has not ended counts as lost."""


class Waiter:
    """Used from one thread, but for `wake`."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.connections: dict[int, Any] = {}
        """By slot; outside a Cluster there is one."""
        self.number = 0
        """By which the server knows the one connection there is outside a Cluster."""
        self.woken = threading.Event()
        self.bell, self.rope = socketpair()

    def wait(self, keys: Sequence[str], *, timeout: float) -> bool:
        """Wait until one of the lists has a token, somebody calls `wake`, or the time is over; tell whether to look.

        Raises:
            RedisFailed: Redis is away or refuses.
        """
        if self.woken.is_set():
            self.heard()
            return True
        groups: dict[int, list[str]] = {}
        for key in keys:
            groups.setdefault(key_slot(key.encode()) if self.link.one_slot_a_call else 0, []).append(key)
        asked: dict[int, Any] = {}
        try:
            for slot, some in groups.items():
                connection = self.connection(slot, some[0])
                connection.send_command("BLPOP", *some, timeout)
                asked[connection._sock.fileno()] = connection
            woken = self.first(asked, timeout=timeout)
        except FAILURES as error:
            self.hang_up()
            raise RedisFailed(self.link.options.where, error, certain=True) from error
        except BaseException:
            self.hang_up()
            raise
        return woken

    def first(self, asked: dict[int, Any], *, timeout: float) -> bool:
        """Wait for the first answer; call off what was asked of the other servers."""
        ends = poll()
        for number in (*asked, self.bell.fileno()):
            ends.register(number, POLLIN)
        if not asked:  # every queue is paused, or elsewhere
            rung = bool(ends.poll(timeout * 1000))
            self.heard()
            return rung
        until = time.monotonic() + timeout + LATE
        token = False
        while asked and not token:
            ready = ends.poll(max(0.0, until - time.monotonic()) * 1000)
            if not ready:
                raise TimeoutError(f"no answer {LATE} s after the end of a wait")
            for number, _ in ready:
                if number == self.bell.fileno():
                    self.heard()
                    token = True
                elif (connection := asked[number]).can_read():
                    ends.unregister(number)
                    del asked[number]
                    token = connection.read_response() is not None or token
        for connection in asked.values():
            self.call_off(connection)
        return token

    def call_off(self, connection: Any) -> None:
        """End a wait on the server. A token that came meanwhile is spent: the look that follows makes it good."""
        if self.link.one_slot_a_call:
            connection.disconnect()  # only its own node could be asked to let go of it
            return
        self.link.ask("CLIENT", "UNBLOCK", self.number)
        connection.read_response()

    def connection(self, slot: int, key: str) -> Any:
        connection = self.connections.get(slot)
        if connection is None or connection._sock is None:
            connection = self.connections[slot] = self.link.connect(key)
            connection.send_command("CLIENT", "ID")
            self.number = connection.read_response()
        return connection

    def wake(self) -> None:
        """End a wait that lasts, or the next; any thread may call it."""
        self.woken.set()
        with suppress(OSError):  # closed, or rung so often that it cannot be missed
            self.rope.send(b"!", MSG_DONTWAIT)

    def heard(self) -> None:
        self.woken.clear()
        with suppress(BlockingIOError):
            self.bell.recv(4096, MSG_DONTWAIT)

    def hang_up(self) -> None:
        connections, self.connections = self.connections, {}
        for connection in connections.values():
            connection.disconnect()

    def close(self) -> None:
        self.hang_up()
        self.bell.close()
        self.rope.close()
