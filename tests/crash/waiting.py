"""Whether somebody waits for a row that somebody else has locked."""

from __future__ import annotations

from django.db import connection

SQL = {
    "postgresql": "SELECT 'waits', count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    # Not information_schema.innodb_trx: asked more often than every 100 ms it repeats its first answer for ever.
    "mysql": "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'",
}


def somebody_waits() -> bool:
    """Ask on another connection: within a transaction the answer would stay the same."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(SQL[connection.vendor])
            return bool(int(cursor.fetchone()[1]))
    finally:
        other.close()
