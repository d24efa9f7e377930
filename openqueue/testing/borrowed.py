"""The caller's open transactions, lent to bodies that expect none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connections

logger = logging.getLogger("openqueue")


@contextmanager
def as_if_alone() -> Iterator[Callable[[], None]]:
    """Let a body work inside the caller's transactions, as a TestCase opens them, as if it worked in none.

    What it breaks (a failed statement, which outside a transaction would fail alone) is undone with what it wrote,
    so that its run can be settled. The value is called when the body ends: it runs what the body left to on_commit.
    """
    borrowed = [Borrowed(one) for one in connections.all(initialized_only=True) if one.in_atomic_block]

    def commit() -> None:
        for connection in borrowed:
            connection.run_callbacks()

    try:
        yield commit
    finally:
        for connection in reversed(borrowed):
            connection.give_back()


class Borrowed:
    """One connection of the caller's, in a transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.waiting = len(connection.run_on_commit)
        self.savepoints, self.blocks = list(connection.savepoint_ids), list(connection.atomic_blocks)
        # Raises where the caller's own transaction is broken: that is not hidden.
        self.savepoint = connection.savepoint()

    def run_callbacks(self) -> None:
        """Call what the body registered with on_commit, which in a worker would have happened by now."""
        while not self.connection.needs_rollback and len(self.connection.run_on_commit) > self.waiting:
            _, callback, robust = self.connection.run_on_commit.pop(self.waiting)
            try:
                callback()
            except Exception:  # the project's own callback; Django too lets only those fail that are robust
                if not robust:
                    raise
                logger.exception("an on_commit callback failed")

    def give_back(self) -> None:
        """Leave the transaction as usable as it was."""
        self.connection.savepoint_ids = self.savepoints
        self.connection.atomic_blocks = self.blocks
        del self.connection.run_on_commit[self.waiting :]
        broken, self.connection.needs_rollback = self.connection.needs_rollback, False
        if self.savepoint is None:
            return
        try:
            if not broken:
                self.connection.savepoint_commit(self.savepoint)
                return
        except DatabaseError:
            logger.debug("a statement of the body broke the caller's transaction", exc_info=True)
        self.connection.savepoint_rollback(self.savepoint)
