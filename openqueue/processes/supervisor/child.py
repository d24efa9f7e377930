"""One worker process under a supervisor: started afresh, listened to, and buried with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from openqueue.processes.pulse import Condition
from openqueue.processes.tether import VARIABLE, Hand


class Child:
    """A fresh interpreter in a process group of its own: it shares no socket, lock or thread with anybody."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.hand = Hand()
        self.incarnations: list[UUID] = []
        """Every identity it has had."""
        self.condition: Condition | None = None
        """How it last said it was."""
        self.is_ready = False
        """It has had a lease."""
        self.has_signed_off = False
        """It ends in order."""
        self.is_through = False
        """It has done what there was to do: nobody need follow."""
        self.began_at = self.heard_at = time.monotonic()
        number = self.hand.other.fileno()
        try:
            self.process = subprocess.Popen(  # noqa: S603  # the very command that runs
                command,
                env=environment | {VARIABLE: f"{number}@{time.time()}"},
                pass_fds=[number],
                process_group=0,
            )
        except OSError:
            self.hand.close()
            raise
        self.hand.given()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.began_at

    @property
    def silence(self) -> float:
        """Seconds since it last said something."""
        return time.monotonic() - self.heard_at

    def listen(self) -> None:
        """Take in what it said."""
        for facts in self.hand.heard():
            self.heard_at = time.monotonic()
            if "incarnation" in facts:
                self.incarnations.append(UUID(facts["incarnation"]))
            elif "through" in facts:
                self.has_signed_off, self.is_through = True, facts["through"]
            else:
                self.condition = Condition(**facts)
                self.is_ready |= self.condition.sure

    def died(self) -> int | None:
        """Return its exit code (a signal: minus its number) when it is dead, and end its process group with it.

        It is looked at before it is reaped: until then nobody else can get its number, so the group is surely its own.
        """
        if self.process.returncode is None:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self.kill()
            self.listen()
            self.hand.close()
        return self.process.wait()

    def send(self, number: int) -> None:
        """Signal the worker itself; what its bodies started hears nothing of it."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End its whole process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
