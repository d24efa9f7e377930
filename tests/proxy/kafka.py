"""Reads what a client asks of Kafka, and says each request by its name.

Format: https://kafka.apache.org/protocol: four bytes of length, two of the request's kind, two of its version.
"""

from __future__ import annotations

from tests.proxy.connection import Said

KINDS = {
    0: b"Produce",
    1: b"Fetch",
    2: b"ListOffsets",
    3: b"Metadata",
    8: b"OffsetCommit",
    9: b"OffsetFetch",
    11: b"JoinGroup",
    12: b"Heartbeat",
    13: b"LeaveGroup",
    14: b"SyncGroup",
    22: b"InitProducerId",
}


def requests() -> Said:
    """Return a reader that says which requests each piece completes."""
    buffer = bytearray()

    def read(piece: bytes) -> list[bytes]:
        buffer.extend(piece)
        said = []
        while len(buffer) >= 6:
            length = 4 + int.from_bytes(buffer[:4], "big")
            if len(buffer) < length:
                break
            said.append(KINDS.get(int.from_bytes(buffer[4:6], "big"), b"other"))
            del buffer[:length]
        return said

    return read
