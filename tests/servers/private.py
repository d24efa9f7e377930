"""A private server: own folder, own ports, gone with the process that started it."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.servers.guardian import guard, unprivileged
from tests.servers.ports import free_port

USER = "openqueue"


class PrivateServer(ABC):
    """One server. What it needs on disk is in its folder, its process id in the file "pid" there."""

    name: ClassVar[str]

    def __init__(self, *, password: str = "") -> None:
        self.password = password or secrets.token_hex(8)
        self.folder: Path | None = None
        self._as_user: list[str] = []
        self._guardian: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Make the folder and start; close() ends both, and so does the end of this process."""
        self._find()
        self.folder = Path(tempfile.mkdtemp(prefix=f"openqueue-{self.name}-"))
        self._as_user = self._words(self.folder)
        self._guardian = guard(self.folder, stop=self._last_word(), as_user=self._as_user)
        try:
            self._initialise()
            self.start()
            self._settle_in()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait(timeout=60)
            self._guardian = None
        if self._process is not None:
            self._process.wait(timeout=10)

    @abstractmethod
    def start(self) -> None:
        """Start the server, and wait until it answers."""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def log(self) -> str:
        return self._inside("log").read_text(errors="replace")

    @abstractmethod
    def _find(self) -> None:
        """Note where the server's programs are, or say that they are missing."""

    def _words(self, folder: Path) -> list[str]:
        """Return the words before a command by which it runs as the server's user, whose the folder becomes."""
        return []

    def _last_word(self) -> str:
        """Return the shell command by which the guardian stops the server."""
        pid = shlex.quote(str(self._inside("pid")))
        return f"kill -9 $(cat {pid}); kill -CONT $(cat {pid})"

    @abstractmethod
    def _initialise(self) -> None:
        """Write what the server needs in its folder."""

    def _settle_in(self) -> None:  # noqa: B027  # most have nothing to make
        """Make users, give rights, once it answers."""

    def _run_on(self, *command: str) -> None:
        """Have the server's own process run, and note its id."""
        with self._inside("log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, *command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._inside("pid").write_text(str(self._process.pid))

    def _inside(self, name: str) -> Path:
        if self.folder is None:
            raise RuntimeError("this server was not started here: only the process that opened it steers it")
        return self.folder / name


class PrivateDatabase(PrivateServer):
    """One on a free loopback port; `durable=False` trades safety for speed."""

    user: ClassVar[str]
    """The system's user that the server runs as where this process is root's."""
    missing: ClassVar[type[RuntimeError]]
    """Raised by `open` where the server is not installed."""

    def __init__(self, *, durable: bool = True) -> None:
        super().__init__()
        self.durable = durable
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"{self.name}://{USER}:{self.password}@127.0.0.1:{self.port}/"

    def _words(self, folder: Path) -> list[str]:
        try:
            return unprivileged(self.user, "nobody", folder=folder)
        except LookupError as error:
            folder.rmdir()
            raise self.missing(str(error)) from error
