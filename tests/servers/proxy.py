"""A TCP proxy in front of a server, which can lose answers and cut connections on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

CHUNK = 65536


class Proxy:
    """Listens on a loopback port of its own and passes everything on to another, until told otherwise."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._losing_after: bytes | None = None
        self._threads: list[threading.Thread] = []
        self.lost = threading.Event()
        """Set once a connection was cut in the place of an answer."""

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(timeout=10)

    def lose_the_answer_to(self, words: bytes) -> None:
        """Let the next request that holds these words through, and cut its connection before the answer."""
        self.lost.clear()
        self._losing_after = words

    def cut(self) -> int:
        """Cut all connections, as a firewall that forgets would, and return how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        return len(pairs)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            losing = threading.Event()
            with self._lock:
                self._pairs.append((client, server))
            requests = self._spawn(self._pass_requests, client, server, losing)
            self._spawn(self._pass_answers, server, client, losing, requests)

    def _pass_requests(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while chunk := client.recv(CHUNK):
                if self._losing_after is not None and self._losing_after in chunk:
                    self._losing_after = None
                    losing.set()
                server.sendall(chunk)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _pass_answers(
        self,
        server: socket.socket,
        client: socket.socket,
        losing: threading.Event,
        requests: threading.Thread,
    ) -> None:
        with contextlib.suppress(OSError):
            # The server has done the work by the time it answers: now the client will not hear of it.
            while (chunk := server.recv(CHUNK)) and not losing.is_set():
                client.sendall(chunk)
        if losing.is_set():
            self.lost.set()
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        requests.join(timeout=10)
        client.close()
        server.close()

    def _spawn(self, work: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]  # any callable
        self._threads.append(thread)
        thread.start()
        return thread
