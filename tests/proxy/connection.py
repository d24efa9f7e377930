"""One client of the proxy: two pumps, one for its requests and one for the answers."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.proxy.proxy import Proxy

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)
Said = Callable[[bytes], list[bytes]]
"""Reads the pieces of one client's requests and returns what each piece says."""


def as_it_is() -> Said:
    """Return a reader for protocols that say in every request what they want."""
    return lambda piece: [piece]


class Connection:
    """Bytes go both ways until one side ends, or the proxy makes it end."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.server = server
        self.read = proxy.reader()
        self.losing = threading.Event()
        self.kept = b""
        self.aborted = False
        self.closed = False
        self.answered = 0
        self.limit = proxy.limit
        self.lock = threading.Lock()
        self.pumps = 2

    def start(self) -> None:
        for pump in (self.requests, self.answers):
            threading.Thread(target=self.run, args=[pump], daemon=True).start()

    def run(self, pump: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            pump()
        with self.lock:
            self.pumps -= 1
            last = not self.pumps
        if last:
            self.client.close()
            self.server.close()
            self.closed = True

    def requests(self) -> None:
        while piece := self.client.recv(CHUNK):
            self.proxy.wait(self)
            if self.aborted:
                return
            verdict = self.proxy.verdict(self.read(piece))
            if verdict == "stall" and not self.outlives_the_stall():
                return
            if verdict == "hold":
                self.kept = piece
                self.losing.set()
                self.proxy.held.append(self)
                self.hang_up()
                return
            if verdict == "lose":
                self.losing.set()
            self.server.sendall(piece)
        self.server.shutdown(socket.SHUT_WR)

    def outlives_the_stall(self) -> bool:
        """Wait until requests go on; a client that died meanwhile takes its request with it."""
        while self.proxy.stalling is not None and not self.aborted:
            if select.select([self.client], [], [], 0.02)[0] and not self.client.recv(1, socket.MSG_PEEK):
                return False
        return not self.aborted

    def answers(self) -> None:
        while piece := self.server.recv(CHUNK):
            self.proxy.wait(self)
            if self.aborted:
                return
            if self.losing.is_set():
                # The server works on to its end and is heard out: only its client never hears of it.
                if not self.kept:
                    self.proxy.lost += 1
                    self.kept = piece
                    if not self.proxy.silent:
                        self.hang_up()
                continue
            self.answered += len(piece)
            if self.limit is not None and self.answered > self.limit:
                self.client.sendall(piece[: self.limit - self.answered])
                self.abort()
                return
            self.client.sendall(piece)
        if not self.losing.is_set():
            self.client.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """End the client's side alone, with RST."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def abort(self) -> None:
        """End both sides with RST."""
        self.aborted = True
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RD)  # wakes the pump that waits here; closing sends the RST

    def deliver(self) -> None:
        with contextlib.suppress(OSError):  # a server may have given up too: MariaDB ends idle transactions
            self.server.sendall(self.kept)
            self.server.shutdown(socket.SHUT_WR)
