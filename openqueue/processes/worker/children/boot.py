"""How a child begins: tied to its parent, then the same project as its parent, then at work."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from typing import Final

from openqueue.processes.worker.children.wire import Lines

PR_SET_PDEATHSIG: Final = 1
"""See prctl(2)."""
LONGEST_ORDER: Final = 2**30


def begin(orders: int, control: int) -> None:
    """Become a child on these two sockets; return when the parent closes them."""
    for number in (orders, control):
        os.set_inheritable(number, False)  # what a body starts must not hold them
    with socket.socket(fileno=orders) as one, socket.socket(fileno=control) as other:
        work(Lines(one, longest=LONGEST_ORDER), Lines(other, longest=LONGEST_ORDER))


def work(orders: Lines, control: Lines) -> None:
    hello = orders.receive()
    if hello is None:
        return
    die_with(hello["parent"])
    for number in (signal.SIGTERM, signal.SIGINT):
        # Whoever stops the worker may signal its children as well (systemd, a terminal): the worker decides.
        signal.signal(number, ignore)
    import django  # noqa: PLC0415  # not before somebody wants this process

    django.setup()
    from django.db import connections  # noqa: PLC0415  # after the set-up

    for alias, name in hello["databases"].items():
        connections.databases[alias]["NAME"] = name  # a test's database, where the parent works on one
    from openqueue.processes.worker.children.inside import Inside  # noqa: PLC0415  # its models need the set-up

    Inside(orders, control).serve()


def ignore(*_: object) -> None:
    """Do nothing. Unlike SIG_IGN this is not passed on to the programs that a body starts."""


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone, whatever holds it then (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before we asked
        os._exit(1)
