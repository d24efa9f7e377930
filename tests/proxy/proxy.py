"""A TCP proxy in front of a server, which can do to its clients whatever a network does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.proxy.connection import Connection, Said, as_it_is


class Proxy:
    """Listens on a loopback port of its own and passes everything on to another, until told otherwise."""

    def __init__(self, target: int, *, reader: Callable[[], Said] = as_it_is) -> None:
        self.target = target
        self.reader = reader
        self.port = 0
        self.open = threading.Event()
        """Cleared in a black hole: what arrives is kept, and goes on when the hole closes."""
        self.pause = 0.0
        self.limit: int | None = None
        self.losing: tuple[bytes, int] | None = None
        self.silent = False
        self.holding: bytes | None = None
        self.closing: bytes | None = None
        self.stalling: bytes | None = None
        self.stalled = 0
        """How many requests had to wait so far."""
        self.lost = 0
        """How many answers were lost so far."""
        self.held: list[Connection] = []
        """Requests that were kept back: `deliver` sends them late."""
        self.connections: list[Connection] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self.pass_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.open.set()

    # --- how it behaves ---------------------------------------------------------------------------------------

    def pass_on(self) -> None:
        """Listen, and let everything through (again)."""
        self.pause, self.limit = 0.0, None
        self.losing = self.holding = self.stalling = self.closing = None
        self.open.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = int(self._listener.getsockname()[1])
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def refuse(self) -> None:
        """Be a host on which nobody listens: connections end, new ones are refused."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.reset()

    def reset(self) -> int:
        """End all connections with RST, as a firewall that forgot them would; return how many there were."""
        with self._lock:
            ended, self.connections = self.connections, []
        for connection in ended:
            connection.abort()
        return len(ended)

    def blackhole(self, *, behind: bytes | None = None) -> None:
        """Accept everything and forward nothing, in either direction, until `pass_on`.

        behind: from the next request on that says these words; it is the last to go through.
        """
        self.closing = behind
        if behind is None:
            self.open.clear()

    def delay(self, seconds: float) -> None:
        """Take so long for each piece of data, both ways."""
        self.pause = seconds

    def cut_after(self, answered: int) -> None:
        """End each new connection once so many bytes of answers went through."""
        self.limit = answered

    def lose_the_answer_to(self, words: bytes, *, times: int = 1, silently: bool = False) -> None:
        """Let the next requests that say these words through, and end their connections in the answer's place.

        silently: leave the connections open; their clients wait for ever.
        """
        self.losing, self.silent = (words, times), silently

    def hold_back(self, words: bytes) -> None:
        """Keep the next request that says these words, and end its connection: the client is in doubt."""
        self.holding = words

    def stall(self, words: bytes) -> None:
        """Forward no request that says these words before `pass_on`; their clients wait, others are served."""
        self.stalling = words

    def deliver(self) -> None:
        """Send the requests that were held back, long after their clients gave up."""
        held, self.held = self.held, []
        for connection in held:
            connection.deliver()

    # --- how it works -----------------------------------------------------------------------------------------

    def verdict(self, said: list[bytes]) -> str:
        """Say what becomes of a request: `hold` it back, `lose` its answer, `stall` it, or `pass`."""
        with self._lock:
            if self.closing is not None and any(self.closing in words for words in said):
                self.closing = None
                self.open.clear()
            if self.holding is not None and any(self.holding in words for words in said):
                self.holding = None
                return "hold"
            if self.losing is not None and any(self.losing[0] in words for words in said):
                words, times = self.losing
                self.losing = (words, times - 1) if times > 1 else None
                return "lose"
            if self.stalling is not None and any(self.stalling in words for words in said):
                self.stalled += 1
                return "stall"
        return "pass"

    def wait(self, connection: Connection) -> None:
        while not self.open.wait(0.1) and not connection.aborted:
            pass
        if self.pause:
            time.sleep(self.pause)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            connection = Connection(self, client, server)
            with self._lock:
                self.connections = [c for c in self.connections if not c.closed] + [connection]
            connection.start()
