"""Keys on MariaDB and MySQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from openqueue.store.mysql.rows import Writing, microseconds, moment_sql
from openqueue.store.statements import statement
from openqueue.types import Key


class Keys(Writing):
    """take_keys."""

    def take_keys(self, keys: Sequence[Key], *, now: datetime | None = None) -> int:
        rows = [[k.id.hex, k.scope, k.key, k.run_id.hex, microseconds(k.window)] for k in keys]
        with self.writing() as cursor:
            cursor.execute(
                statement("mysql", "take_keys").replace("CLOCK", moment_sql(now)),
                [json.dumps(rows, ensure_ascii=False)],
            )
            return int(cursor.rowcount)
