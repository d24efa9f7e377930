"""A private PostgreSQL: own folder, own port, gone with the process that started it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import psycopg

from tests.servers.installed import HOW_TO_GET_POSTGRESQL, postgresql_binaries
from tests.servers.private import USER, PrivateDatabase

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


class PostgreSQL(PrivateDatabase):
    """One server on a free loopback port; `durable=False` trades safety for speed."""

    name, user, missing = "postgresql", "postgres", PostgreSQLMissing

    def start(self, **environment: str) -> None:
        """Start; `environment` is put over this process's own."""
        self._pg_ctl("start", "-l", str(self._inside("log")), environment=environment)

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

    @contextlib.contextmanager
    def configured(self, **settings: str) -> Iterator[None]:
        """Have the server run with these settings for a while, as an administrator who reloads them."""
        with psycopg.connect(self.url, dbname="postgres", autocommit=True) as connection:
            try:
                for name, value in settings.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
                connection.execute("SELECT pg_reload_conf()")
                yield
            finally:
                connection.execute("SET default_transaction_read_only = off")
                for name in settings:
                    connection.execute(f"ALTER SYSTEM RESET {name}")
                connection.execute("SELECT pg_reload_conf()")

    @contextlib.contextmanager
    def full_disk(self, *, at: int = 18 * 2**20) -> Iterator[None]:
        """Let no file grow beyond so many bytes, for every connection made meanwhile."""
        try:
            self._limit_files(str(at))
            yield
        finally:
            self._limit_files("unlimited")

    def _limit_files(self, most: str) -> None:
        self._run("prlimit", "--pid", str(self.postmaster_pid()), f"--fsize={most}:unlimited")
        self.terminate_connections()

    def postmaster_pid(self) -> int:
        """Return the process whose children do the server's work (for CPU accounting and for SIGSTOP)."""
        return int((self._inside("data") / "postmaster.pid").read_text().split()[0])

    def _find(self) -> None:
        folder = postgresql_binaries()
        if folder is None:
            raise PostgreSQLMissing(HOW_TO_GET_POSTGRESQL)
        self._bin = folder

    def _last_word(self) -> str:
        pg_ctl, data = shlex.quote(str(self._bin / "pg_ctl")), shlex.quote(str(self._inside("data")))
        return f"{pg_ctl} -D {data} -m immediate stop"

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

    def _pg_ctl(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        arguments = ("-D", str(self._inside("data")), "-w", "-t", "60", *arguments)
        self._run("pg_ctl", *arguments, environment=environment)

    def _run(self, program: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            [*self._as_user, str(shutil.which(program, path=f"{self._bin}:{os.defpath}")), *arguments],
            cwd=self.folder, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            with contextlib.suppress(OSError):
                done.stdout += self.log()[-2000:]
            command = " ".join([program, *arguments])
            raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}")
