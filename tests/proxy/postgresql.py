"""Reads what a client asks of PostgreSQL, prepared statements included.

A prepared statement sends its words once and then only its name; who wants to lose the answer to a claim has to know
which name stands for it. Format: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

from tests.proxy.connection import Said


def statements() -> Said:
    """Return a reader that says which SQL each piece of requests executes (not: which it prepares)."""
    return Reader().read


class Reader:
    """Frames the requests of one connection and remembers its prepared statements."""

    def __init__(self) -> None:
        self.buffer = b""
        self.prepared: dict[bytes, bytes] = {}

    def read(self, piece: bytes) -> list[bytes]:
        self.buffer += piece
        executed = []
        while (length := self.length()) and len(self.buffer) >= length:
            message, self.buffer = self.buffer[:length], self.buffer[length:]
            executed += self.words(message[:1], message[5:])
        return executed

    def length(self) -> int:
        """Return the bytes of the next message; 0 when even that is not yet known."""
        typed = 0 if self.buffer[:1] == b"\0" else 1  # what opens a connection has no type byte
        if len(self.buffer) < 4 + typed:
            return 0
        return typed + int.from_bytes(self.buffer[typed : typed + 4], "big")

    def words(self, kind: bytes, body: bytes) -> list[bytes]:
        if kind == b"Q":
            return [body.rstrip(b"\0")]
        if kind == b"P":
            name, sql, _ = body.split(b"\0", 2)
            self.prepared[name] = sql
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            return [self.prepared.get(name, b"")]
        return []
