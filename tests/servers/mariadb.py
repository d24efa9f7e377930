"""A private MariaDB: own folder, own port, gone with the process that started it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.servers.installed import HOW_TO_GET_MARIADB, mariadb_binary
from tests.servers.private import USER, PrivateDatabase

PATIENCE = 60.0

ALWAYS = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "1",
    "max-connections": "200",
    "innodb-buffer-pool-size": "512M",
    "innodb-log-file-size": "512M",
    "performance-schema": "OFF",
    # Not utf8mb4, not UTC, not strict about letters: what a server is set to must not matter.
    "character-set-server": "latin1",
    "collation-server": "latin1_swedish_ci",
    "default-time-zone": "+05:30",
}
# Only for suites that look at what is written, never at how long or how safely.
NOT_DURABLE = {
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "innodb-flush-method": "nosync",
}


class MariaDBMissing(RuntimeError):
    pass


class MariaDB(PrivateDatabase):
    """One server on a free loopback port; `durable=False` trades safety for speed."""

    name, user, missing = "mysql", "mysql", MariaDBMissing

    def close(self) -> None:
        if self._guardian is not None and self._process is not None and self._process.poll() is None:
            self.stop("immediate")
        super().close()

    def start(self) -> None:
        settings = ALWAYS | ({} if self.durable else NOT_DURABLE)
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._inside("log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_user, str(self._binary), "--no-defaults", f"--datadir={self._inside('data')}",
                    f"--port={self.port}", f"--socket={self._inside('socket')}", f"--pid-file={self._inside('pid')}",
                    f"--init-file={self._inside('init.sql')}", f"--tmpdir={self.folder}", *options,
                ],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._until(self._answers)

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast` throws the clients out and ends in order, `immediate` is a crash."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL if mode == "immediate" else signal.SIGTERM)
        self._process.wait(PATIENCE)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def ask(self, question: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Ask on a connection of its own, as the administrator."""
        import MySQLdb

        with contextlib.closing(
            MySQLdb.connect(unix_socket=str(self._inside("socket")), user="root", autocommit=True)
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(question, arguments or None)
            return list(cursor.fetchall())

    def terminate_connections(self, *, database: str | None = None) -> int:
        """Cut every client off, or those of one database, and return how many there were."""
        ended = 0
        for number, name in self.ask(
            "SELECT id, db FROM information_schema.processlist WHERE user = %s AND id <> connection_id()",
            USER,
        ):
            if database in {None, name}:
                with contextlib.suppress(Exception):  # it ended by itself
                    self.ask(f"KILL CONNECTION {number}")
                    ended += 1
        return ended

    def server_pid(self) -> int:
        """Return the process that does the server's work, in its threads."""
        return int(self._inside("pid").read_text())

    def _find(self) -> None:
        binary = mariadb_binary()
        if binary is None:
            raise MariaDBMissing(HOW_TO_GET_MARIADB)
        self._binary = binary

    def _last_word(self) -> str:
        pid = shlex.quote(str(self._inside("pid")))
        return f"kill -9 $(cat {pid}); while kill -0 $(cat {pid}); do sleep 0.05; done"

    def _answers(self) -> bool:
        import MySQLdb

        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"mariadbd ended with {self._process.returncode}:\n{self.log()[-2000:]}")
        try:
            MySQLdb.connect(
                host="127.0.0.1", port=self.port, user=USER, password=self.password, connect_timeout=5
            ).close()
        except MySQLdb.OperationalError:
            return False
        return True

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd does not answer:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def _initialise(self) -> None:
        init = self._inside("init.sql")
        init.write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%';\n"
            f"REVOKE READ_ONLY ADMIN ON *.* FROM '{USER}'@'%';\n"  # as a project's user: read_only is meant for it
        )
        init.chmod(0o644)  # the folder itself is closed to others
        done = subprocess.run(
            [
                *self._as_user, "mariadb-install-db", "--no-defaults", f"--datadir={self._inside('data')}",
                f"--tmpdir={self.folder}",  # a server that begins clears its own of what others left there
                "--auth-root-authentication-method=normal", "--skip-test-db",
            ],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db ended with {done.returncode}:\n{done.stdout}")
