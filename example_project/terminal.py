"""One terminal for the many processes of the demo."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

COLOURS = {"demo": "1", "setup": "2", "provider": "33", "web": "36", "worker": "32", "traffic": "35"}
KEPT = 1_000  # lines


class Terminal:
    """Where everybody speaks: each line says who, in colour when a person is looking."""

    def __init__(self) -> None:
        self.colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.writing = threading.Lock()
        self.gone = False

    def say(self, who: str, line: str) -> None:
        """Print one line; note when nobody can read it any more."""
        name = f"{who:>8} │"
        if self.colourful:
            name = f"\033[{COLOURS[who]}m{name}\033[0m"
        with self.writing:
            try:
                print(name, line, flush=True)
            except OSError:
                self.gone = True
                sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (until the process ends)


class Child:
    """One process of the demo, in a process group of its own so that Ctrl-C reaches the demo alone."""

    def __init__(
        self, name: str, command: list[str], *, environ: dict[str, str], terminal: Terminal | None
    ) -> None:
        self.name, self.terminal, self.lines = name, terminal, list[str]()
        self.process = subprocess.Popen(  # noqa: S603  (the demo's own commands)
            leashed(command),
            cwd=Path(__file__).parent,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        """Print what the process prints; the first lines are kept."""
        for line in self.process.stdout or ():
            if len(self.lines) < KEPT:
                self.lines.append(line.rstrip())
            if self.terminal and line.strip():
                self.terminal.say(self.name, line.rstrip())

    @property
    def code(self) -> int | None:
        """The exit code as a shell would say it; None while the process lives."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once."""
        if self.code is None:
            self.process.terminate()

    def end(self, *, deadline: float) -> None:
        """Wait until the deadline, then kill; whatever the process left of its group goes with it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join(1)


def leashed(command: list[str]) -> list[str]:
    """Have the kernel end the process when the demo itself is killed, where util-linux can say so."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else command
