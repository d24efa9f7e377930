"""Reads what a client asks of MariaDB, and says it when it takes effect.

A verb is a few statements in a transaction there: what its client must not hear of, to be in doubt, is the answer to
COMMIT. So the words of a transaction are said with its COMMIT, those of any other statement at once.
Format: https://mariadb.com/docs/server/reference/clientserver-protocol/0-packet
"""

from __future__ import annotations

from tests.proxy.connection import Said

QUERY = b"\x03"


def statements() -> Said:
    """Return a reader that says which SQL each piece of requests makes true."""
    return Reader().read


class Reader:
    """Frames the requests of one connection and remembers its open transaction."""

    def __init__(self) -> None:
        self.buffer = b""
        self.transaction: list[bytes] | None = None

    def read(self, piece: bytes) -> list[bytes]:
        self.buffer += piece
        said = []
        while len(self.buffer) >= 4:
            length = 4 + int.from_bytes(self.buffer[:3], "little")
            if len(self.buffer) < length:
                break
            packet, self.buffer = self.buffer[:length], self.buffer[length:]
            if (
                packet[3] == 0 and packet[4:5] == QUERY
            ):  # later numbers are parts of a greeting or of a long request
                said += self.words(packet[5:])
        return said

    def words(self, sql: bytes) -> list[bytes]:
        verb = sql.strip().lower()
        if verb == b"set autocommit=0":
            self.transaction = []
        elif verb in {b"commit", b"rollback", b"set autocommit=1"}:
            done, self.transaction = self.transaction or [], None if verb.startswith(b"set") else []
            return [b"\n".join([*done, sql])] if verb == b"commit" else []
        elif self.transaction is not None:
            self.transaction.append(sql)
        else:
            return [sql]
        return []
