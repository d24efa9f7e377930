"""One child as its parent sees it: started, given work, listened to, killed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from django.db import connections

from openqueue.conf import config
from openqueue.processes.worker.children import memory, wire
from openqueue.processes.worker.children.wire import Broken, Lines
from openqueue.processes.worker.job import Job

BOOT: Final = (
    "import sys; sys.path[:] = {path!r}; "
    "from openqueue.processes.worker.children.boot import begin; begin({orders}, {control})"
)
FAREWELL: Final = 2.0
"""Seconds that a child has to leave by itself, and the kernel to bury one that was killed."""
GLANCE: Final = 0.2
"""Seconds between looks at whether a child lives, where the system has no pidfd to wait for."""


class Why(Enum):
    """Why a child was killed."""

    TIMED_OUT = "its body had no time left"
    CANCELLED = "its run was cancelled"
    TOO_LARGE = "its body took more memory than its limit"
    UNWANTED = "somebody else spoke for its attempt"
    BROKEN = "it said what nobody of ours would say"


class Child:
    """A fresh interpreter with a process group of its own; nothing of ours is open in it but two sockets.

    It lives with the thread that started it: the kernel kills it when that thread ends (see PR_SET_PDEATHSIG).
    Only `stop` and `kill` may be called from other threads.
    """

    def __init__(self) -> None:
        orders, control = socket.socketpair(), socket.socketpair()
        self.orders = Lines(orders[0], longest=1_000_000 + 8 * config.result_limit)
        self.control = Lines(control[0], longest=1_000)
        theirs = orders[1], control[1]
        boot = BOOT.format(path=sys.path, orders=theirs[0].fileno(), control=theirs[1].fileno())
        try:
            self.process = subprocess.Popen(  # noqa: S603  # our own interpreter and text
                [sys.executable, "-c", boot],
                stdin=subprocess.DEVNULL,
                pass_fds=[end.fileno() for end in theirs],
                start_new_session=True,
            )
        except OSError:
            orders[0].close()
            control[0].close()
            raise
        finally:
            for end in theirs:
                end.close()
        self.pid = self.process.pid
        self.guard = threading.Lock()
        """Held while deciding whether this child still runs that job."""
        self.job: Job | None = None
        self.killed: Why | None = None
        self.is_ready = False
        self.runs = 0
        self.first_rss = self.rss = 0
        self.doors = select.poll()
        self.doors.register(self.orders.end, select.POLLIN)
        self.pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
        if self.pidfd is not None:
            self.doors.register(self.pidfd, select.POLLIN)
        with contextlib.suppress(OSError):  # it is gone already: whoever waits for it will see
            self.orders.send(
                databases={alias: str(connections[alias].settings_dict["NAME"]) for alias in connections},
                parent=os.getpid(),
            )

    # --- from the thread that started it ----------------------------------------------------------------------------

    def wait_ready(self) -> bool:
        """Wait until it has set up the project; tell whether it could."""
        for message in self.messages():
            if "ready" in message:
                self.first_rss = self.rss = int(message["ready"])
                self.is_ready = True
                return True
        return False

    def begin(self, job: Job) -> None:
        """Give it an attempt; raise OSError when it is gone, and the body has surely not begun."""
        self.runs += 1
        with self.guard:
            self.job = job
        self.orders.send(attempt=wire.attempt_to_json(job.attempt), module=job.task.function.__module__)

    def leave(self) -> None:
        """Note that its body has ended: whoever comes to kill it for that body is too late."""
        with self.guard:
            self.job = None

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield what it says until it has ended, or says nonsense."""
        try:
            while True:
                if (message := self.orders.receive(wait=False)) is not None:
                    yield message
                elif self.orders.over or not self.waits():
                    return
        except Broken:
            self.slay(Why.BROKEN)

    def waits(self) -> bool:
        """Wait for it to speak or to end; tell whether there is something to be read.

        The end of the socket alone would not do: a process that its body left behind may hold it open.
        """
        while True:
            doors = dict(self.doors.poll(None if self.pidfd is not None else GLANCE * 1000))
            if self.orders.end.fileno() in doors:
                return True
            if doors or self.has_ended():
                return False

    def has_ended(self) -> bool:
        """Tell whether the process has ended, without burying it: its process group keeps its number until then."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def end(self) -> dict[str, Any]:
        """Close the sockets, let it leave, kill what is left of its group; return how it ended."""
        for lines in (self.orders, self.control):
            with lines.lock:
                lines.end.close()
        until = time.monotonic() + FAREWELL
        while self.killed is None and time.monotonic() < until and not self.has_ended():
            time.sleep(0.005)
        return self.bury()

    def bury(self) -> dict[str, Any]:
        self.kill_group()
        try:
            code = self.process.wait(FAREWELL)
        except subprocess.TimeoutExpired:  # in the kernel, and not to be interrupted there
            return {}
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        return {"exit_code": code} if code >= 0 else {"signal": signal_name(-code)}

    # --- from any thread --------------------------------------------------------------------------------------------

    def stop(self, job: Job) -> None:
        """Tell the body of this attempt that nobody wants it; do nothing when it is over."""
        with self.guard:
            mine = self.job is job
        if mine:
            with contextlib.suppress(OSError):
                self.control.send(stop=str(job.attempt.token))

    def kill(self, job: Job, why: Why) -> bool:
        """Kill it with its process group if it still runs this attempt; tell whether it did."""
        with self.guard:
            if self.job is not job or self.killed is not None:
                return False
            self.slay(why)
        return True

    def kill_unless_idle(self) -> None:
        """Kill it if it is busy, with a body or with its own beginning: an idle one leaves by itself."""
        with self.guard:
            if (self.job is not None or not self.is_ready) and self.killed is None:
                self.slay(Why.UNWANTED)

    def slay(self, why: Why) -> None:
        self.killed = why
        self.kill_group()
        # A grandchild that left the group may hold the socket: without this nobody would hear of the end.
        with contextlib.suppress(OSError):
            self.orders.end.shutdown(socket.SHUT_RDWR)

    def kill_group(self) -> None:
        if self.process.returncode is None:  # not buried: the number is still its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def resident(self) -> int:
        return memory.resident(self.pid)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
