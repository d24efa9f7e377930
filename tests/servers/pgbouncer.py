"""A private PgBouncer in transaction mode, in front of the session's PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult

from tests.eventually import eventually
from tests.servers.guardian import unprivileged
from tests.servers.installed import HOW_TO_GET_PGBOUNCER, pgbouncer_binary
from tests.servers.ports import answers, free_port

SETTINGS = """
[databases]
* = host={host} port={server} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool}
ignore_startup_parameters = extra_float_digits
logfile = {log}
"""


class PgBouncer:
    """Listens on a free loopback port; ends with its context."""

    def __init__(self, server: SplitResult, *, pool: int) -> None:
        self.server = server
        self.pool = pool
        self.port = free_port()

    def __enter__(self) -> Self:
        binary = pgbouncer_binary()
        assert binary is not None, HOW_TO_GET_PGBOUNCER
        self.folder = Path(tempfile.mkdtemp(prefix="openqueue-pgbouncer-"))
        users, settings = self.folder / "users", self.folder / "pgbouncer.ini"
        users.write_text(f'"{self.server.username}" "{self.server.password}"\n')
        settings.write_text(
            SETTINGS.format(
                host=self.server.hostname, server=self.server.port, user=self.server.username,
                password=self.server.password, port=self.port, users=users, pool=self.pool, log=self.folder / "log",
            )
        )  # fmt: skip
        self.process = subprocess.Popen(
            [*unprivileged("postgres", "nobody", folder=self.folder, files=[users, settings]), binary, settings],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(lambda: answers(self.port) or self.process.poll() is not None)
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
