"""Sends one POST to one address of one host: resolved once, judged, and connected to by that very address.

Imported when something is sent: what it needs stays out of the memory of workers that send nothing.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from openqueue.outward import Outward, Target

CONNECT, WHOLE = 5.0, 10.0
"""Seconds for the connection, and for everything from then on."""
MOST_BYTES: Final = 2_048
"""That are read of an answer, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What the receiver answered."""

    status: int
    body: str
    retry_after: float | None


def post(url: str, body: bytes, *, headers: Mapping[str, str], outward: Outward) -> Posted:
    """Send it, and follow no redirect.

    Raises:
        Refused: nothing is sent there.
        OSError, http.client.HTTPException: it was not sent, or not answered in time.
    """
    target = outward.target(url)
    limit = Limit(connected(target, outward))
    try:
        if target.scheme == "https":
            context = ssl.create_default_context()
            limit.sock = context.wrap_socket(limit.sock, server_hostname=target.host)
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = limit.sock
        named = {"Host": target.netloc, "Connection": "close", **headers}
        connection.request("POST", target.path, body, named)
        answer = connection.getresponse()
        if limit.is_over:  # the end of what it began to say is not the end of its headers
            raise TimeoutError(f"no answer within {WHOLE:g} s")
        said = answer.read(MOST_BYTES)
    finally:
        limit.end()
    return Posted(
        status=answer.status,
        body=said.decode("utf-8", "replace"),
        retry_after=_seconds(answer.headers.get("Retry-After")),
    )


def connected(target: Target, outward: Outward) -> socket.socket:
    """Ask for the host's addresses once, and connect to one of these: all of them must be allowed."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    for *_, place in found:
        outward.check(ipaddress.ip_address(str(place[0]).partition("%")[0]), host=target.host)
    fault: OSError = OSError(f"{target.host} has no address")
    for family, kind, protocol, _, place in found:
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(CONNECT)
        try:
            sock.connect(place)
        except OSError as error:
            sock.close()
            fault = error
        else:
            return sock
    raise fault


class Limit:
    """Hangs up when everything together has taken too long: a timeout of a socket begins anew with each byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_over = False
        self.timer = threading.Timer(WHOLE, self.hang_up)
        self.timer.daemon = True
        self.timer.start()

    def hang_up(self) -> None:
        self.is_over = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self.timer.cancel()
        self.sock.close()


def _seconds(said: str | None) -> float | None:
    return float(said) if said is not None and said.isdecimal() and len(said) < 6 else None
