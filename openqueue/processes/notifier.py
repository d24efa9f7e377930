"""Tells systemd how a service is, as sd_notify(3) describes: datagrams to the socket that NOTIFY_SOCKET names.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Silent where no systemd asked to be told. Variables stay in the environment: a re-executed worker needs them."""

    def __init__(self) -> None:
        self.address = os.environ.get("NOTIFY_SOCKET", "")
        if self.address.startswith("@"):
            self.address = "\0" + self.address[1:]  # a socket in the abstract namespace
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.is_watched = watched and bool(os.environ.get("WATCHDOG_USEC"))
        self.said: dict[str, str] = {}

    def tell(self, **state: str) -> None:
        """Send what has changed; WATCHDOG=1 every time."""
        fresh = {key: value for key, value in state.items() if self.said.get(key) != value}
        self.said |= state
        if self.is_watched:
            fresh["WATCHDOG"] = "1"
        if not self.address or not fresh:
            return
        text = "\n".join(f"{key}={value}" for key, value in fresh.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(text.encode(), socket.MSG_DONTWAIT, self.address)


def without(environment: dict[str, str]) -> dict[str, str]:
    """Return an environment for a worker whose supervisor alone talks to systemd."""
    return {key: value for key, value in environment.items() if key not in VARIABLES}
