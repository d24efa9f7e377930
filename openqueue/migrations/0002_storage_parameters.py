"""PostgreSQL: leave room in the pages of runs for heap-only updates, and vacuum the hot tables early.

MySQL and MariaDB: InnoDB, and text that is compared byte by byte, whatever the database's own character set is.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

PARAMETERS = {
    "openqueue_run": "fillfactor = 50",
    "openqueue_outbox": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0",
    "openqueue_claim": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0",
}
TEXT = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}
"""MariaDB's collation and MySQL's: 'a' is neither 'A' nor 'a '."""


def set_parameters(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "mysql":
        collation = TEXT[schema_editor.connection.mysql_is_mariadb]
        for model in apps.get_app_config("openqueue").get_models():
            schema_editor.execute(
                f"ALTER TABLE {model._meta.db_table} ENGINE = InnoDB,"
                f" CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"
            )
    if schema_editor.connection.vendor == "postgresql":
        for table, parameters in PARAMETERS.items():
            schema_editor.execute(f"ALTER TABLE {table} SET ({parameters})")


def reset_parameters(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table, parameters in PARAMETERS.items():
            names = ", ".join(part.split("=")[0].strip() for part in parameters.split(","))
            schema_editor.execute(f"ALTER TABLE {table} RESET ({names})")


class Migration(migrations.Migration):
    dependencies = [("openqueue", "0001_initial")]
    # Not in a transaction of its own: MySQL has none around a change of a table.
    operations = [migrations.RunPython(set_parameters, reset_parameters, atomic=False, elidable=False)]
