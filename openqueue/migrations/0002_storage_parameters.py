"""PostgreSQL: leave room in the pages of runs for heap-only updates, and vacuum the hot tables early."""

from __future__ import annotations

from typing import Any

from django.db import migrations

PARAMETERS = {
    "openqueue_run": "fillfactor = 50",
    "openqueue_outbox": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0",
    "openqueue_claim": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0",
}


def set_parameters(apps: Any, schema_editor: Any) -> None:
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
    operations = [migrations.RunPython(set_parameters, reset_parameters, elidable=False)]
