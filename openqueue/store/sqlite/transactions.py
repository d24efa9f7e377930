"""How transactions of OpenQueue begin on SQLite, whatever DATABASES[...]["OPTIONS"] says of the project's own."""

from __future__ import annotations

from typing import Any, Final

from django.db import connections
from django.db.transaction import Atomic

WRITES: Final = "IMMEDIATE"
"""With the write lock, waiting for it. Who reads first and asks for the lock later is refused at once when somebody
wrote in between, however long the timeout (https://sqlite.org/lang_transaction.html)."""
READS: Final = "DEFERRED"
"""Without the lock: who only reads keeps no writer waiting."""


class Begun(Atomic):
    """An atomic block that begins its transaction in this mode; inside the caller's it is a block like any other."""

    def __init__(self, alias: str, mode: str, *, savepoint: bool = True) -> None:
        super().__init__(alias, savepoint, False)
        self.mode = mode

    def __enter__(self) -> None:
        connection: Any = connections[self.using or "default"]
        if connection.in_atomic_block:
            super().__enter__()
            return
        connection.ensure_connection()  # which reads the project's choice
        chosen = connection.transaction_mode
        connection.transaction_mode = self.mode
        try:
            super().__enter__()
        finally:
            connection.transaction_mode = chosen
