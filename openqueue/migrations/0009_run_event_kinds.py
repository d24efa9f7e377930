from __future__ import annotations

from typing import Any

from django.db import migrations, models

TABLES = ("dedupekey", "flow", "flowedge", "flownode", "limit", "permit", "schedule", "scheduletick")
"""Those of 0005 to 0008."""
TEXT = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}


def compare_bytes(apps: Any, schema_editor: Any) -> None:
    """MySQL and MariaDB: InnoDB, and text that is compared byte by byte, as in 0002."""
    if schema_editor.connection.vendor == "mysql":
        collation = TEXT[schema_editor.connection.mysql_is_mariadb]
        for table in TABLES:
            schema_editor.execute(
                f"ALTER TABLE openqueue_{table} ENGINE = InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"
            )


class Migration(migrations.Migration):
    dependencies = [
        ("openqueue", "0008_limits"),
    ]

    operations = [
        migrations.AlterField(
            model_name="runevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("triggered", "triggered"),
                    ("announced_again", "announced_again"),
                    ("started", "started"),
                    ("progress", "progress"),
                    ("completed", "completed"),
                    ("retrying", "retrying"),
                    ("failed", "failed"),
                    ("cancelled", "cancelled"),
                    ("expired", "expired"),
                    ("released", "released"),
                    ("worker_lost", "worker_lost"),
                    ("late_result_discarded", "late_result_discarded"),
                    ("requeued", "requeued"),
                    ("cancel_requested", "cancel_requested"),
                    ("moved", "moved"),
                    ("replayed", "replayed"),
                    ("duplicate", "duplicate"),
                    ("debounced", "debounced"),
                    ("unblocked", "unblocked"),
                    ("step", "step"),
                    ("tick", "tick"),
                ],
                max_length=24,
            ),
        ),
        migrations.RunPython(compare_bytes, migrations.RunPython.noop, atomic=False, elidable=False),
    ]
