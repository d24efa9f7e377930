"""A private PostgreSQL: own folder, own port, gone with the process that started it."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shlex
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.servers.installed import HOW_TO_GET_POSTGRESQL, postgresql_binaries
from tests.servers.ports import free_port

USER = "openqueue"

ALWAYS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "timezone": "'UTC'",
}
# Only for suites that look at what is written, never at how long or how safely.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgreSQLMissing(RuntimeError):
    pass


class PostgreSQL:
    """One server on a free loopback port; `durable=False` trades safety for speed."""

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self.folder: Path | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/"

    def open(self) -> None:
        """Make the data folder and start; close() ends both, and so does the end of this process."""
        bin_folder = postgresql_binaries()
        if bin_folder is None:
            raise PostgreSQLMissing(HOW_TO_GET_POSTGRESQL)
        self._bin = bin_folder
        self.folder = Path(tempfile.mkdtemp(prefix="openqueue-postgresql-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # initdb and postgres refuse to run as root
            user = _unprivileged_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._guardian = self._guard()
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait(timeout=60)
            self._guardian = None

    def start(self) -> None:
        self._pg_ctl("start", "-l", str(self._inside("log")))

    def stop(self, mode: str = "fast") -> None:
        """Stop: `smart` waits for the clients, `fast` throws them out, `immediate` is a crash."""
        self._pg_ctl("stop", "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        self._pg_ctl("restart", "-m", mode, "-l", str(self._inside("log")))

    def terminate_connections(self, *, database: str | None = None) -> int:
        """Cut every client off, or those of one database, and return how many there were."""
        with psycopg.connect(self.url, dbname="postgres", autocommit=True) as connection:
            cursor = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                " AND (%(database)s::text IS NULL OR datname = %(database)s)",
                {"database": database},
            )
            return len(cursor.fetchall())

    def log(self) -> str:
        return self._inside("log").read_text(errors="replace")

    def postmaster_pid(self) -> int:
        """Return the process whose children do the server's work (for CPU accounting and for SIGSTOP)."""
        return int((self._inside("data") / "postmaster.pid").read_text().split()[0])

    def _inside(self, name: str) -> Path:
        if self.folder is None:
            raise RuntimeError("this server was not started here: only the process that opened it steers it")
        return self.folder / name

    def _initialise(self) -> None:
        password_file = self._inside("password")
        password_file.write_text(self.password)
        password_file.chmod(0o644)  # the folder itself is closed to others
        self._run(
            "initdb", "-D", str(self._inside("data")), "-U", USER, f"--pwfile={password_file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync",
        )  # fmt: skip
        settings = ALWAYS | {"port": str(self.port)} | ({} if self.durable else NOT_DURABLE)
        with (self._inside("data") / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def _pg_ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._inside("data")), "-w", "-t", "60", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_user, str(self._bin / program), *arguments],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            with contextlib.suppress(OSError):
                done.stdout += self.log()[-2000:]
            command = " ".join([program, *arguments])
            raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}")

    def _guard(self) -> subprocess.Popen[bytes]:
        # A shell that waits for the other end of its pipe to close: it also closes when we are killed.
        pg_ctl, data = shlex.quote(str(self._bin / "pg_ctl")), shlex.quote(str(self._inside("data")))
        script = (
            f"read -r _; {pg_ctl} -D {data} -m immediate stop >/dev/null 2>&1;"
            f" rm -rf {shlex.quote(str(self.folder))}"
        )
        return subprocess.Popen(
            [*self._as_user, "sh", "-c", script],
            cwd="/", stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgreSQLMissing("PostgreSQL refuses to run as root, and there is no user postgres to run it as")
