"""Keys on SQLite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from openqueue.store.ending import text
from openqueue.store.sqlite.rows import Writing
from openqueue.types import Key


class Keys(Writing):
    """take_keys."""

    def take_keys(self, keys: Sequence[Key], *, now: datetime | None = None) -> int:
        moment = self.clock(now)
        rows = [
            [k.id.hex, k.scope, k.key, k.run_id.hex, text(moment + timedelta(seconds=k.window))] for k in keys
        ]
        with self.writing() as cursor:
            cursor.execute(
                """
                INSERT OR IGNORE INTO openqueue_dedupekey (id, scope, key, run_id, until)
                SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(%s)
                """,
                [json.dumps(rows)],
            )
            return int(cursor.rowcount)
