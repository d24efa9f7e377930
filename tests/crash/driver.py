"""A database driver that fails at its n-th call: the statement never arrives, or its answer is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import OperationalError, connection

GONE = "server closed the connection unexpectedly"


class PowerCut(BaseException):
    """The process ends here: nothing of it may handle this."""


class Driver:
    """Counts the statements and commits of this thread's connection, and fails at one of them.

    The transaction that was open is gone afterwards, on PostgreSQL with its connection.
    """

    def __init__(self, *, at: int, answered: bool, error: type[BaseException] = OperationalError) -> None:
        self.at = at
        self.answered = answered
        """The database did it, and only the answer is lost."""
        self.error = error
        self.calls = 0
        self.failed_at = ""

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Fail within this context."""
        commit = connection._commit

        def counted() -> Any:
            return self.call(commit, "COMMIT")

        connection._commit = counted
        try:
            with connection.execute_wrapper(self.execute):
                yield
        finally:
            del connection._commit

    def execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        return self.call(lambda: execute(sql, params, many, context), sql)

    def call(self, act: Callable[[], Any], what: str) -> Any:
        self.calls += 1
        if self.calls != self.at:
            return act()
        self.failed_at = " ".join(what.split())[:100]
        if self.answered:
            act()
        with suppress(Exception):  # SQLite has no line that could break: there it is the disk
            raw = connection.connection
            raw.rollback() if connection.vendor == "sqlite" else raw.close()
        raise self.error(GONE)
