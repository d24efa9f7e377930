from __future__ import annotations

from typing import Any

from django.db import migrations, models

import openqueue.ids
import openqueue.models.fields

TEXT = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}


def compare_bytes(apps: Any, schema_editor: Any) -> None:
    """MySQL and MariaDB: InnoDB, and text that is compared byte by byte, as in 0002."""
    if schema_editor.connection.vendor == "mysql":
        collation = TEXT[schema_editor.connection.mysql_is_mariadb]
        schema_editor.execute(
            f"ALTER TABLE openqueue_bulkoperation ENGINE = InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"
        )


class Migration(migrations.Migration):
    dependencies = [("openqueue", "0013_closed_queues_and_told_workers")]

    operations = [
        migrations.CreateModel(
            name="BulkOperation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=openqueue.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("act", models.CharField(max_length=20)),
                ("arguments", openqueue.models.fields.JSONTextField()),
                ("search", models.TextField()),
                ("queues", openqueue.models.fields.JSONTextField(null=True)),
                ("sees_payloads", models.BooleanField(default=False)),
                ("actor", models.CharField(max_length=150)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("asked_at", openqueue.models.fields.InstantField()),
                ("expected", models.IntegerField(null=True)),
                ("or_more", models.BooleanField(default=False)),
                ("position", openqueue.models.fields.JSONTextField(null=True)),
                ("looked_at", models.BigIntegerField(default=0)),
                ("acted", models.BigIntegerField(default=0)),
                ("skipped", openqueue.models.fields.JSONTextField()),
                ("run_id", models.UUIDField(null=True)),
                ("stopped_by", models.CharField(blank=True, default="", max_length=150)),
                ("moved_at", openqueue.models.fields.InstantField()),
                ("finished_at", openqueue.models.fields.InstantField(null=True)),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.AlterModelOptions(
            name="run",
            options={
                "ordering": ("-id",),
                "permissions": [
                    ("view_payload", "Can view payloads, results, errors and logs"),
                    ("trigger_run", "Can trigger runs"),
                    ("cancel_run", "Can cancel runs"),
                    ("retry_run", "Can retry runs"),
                    ("promote_run", "Can promote runs and change priorities"),
                    ("discard_run", "Can discard runs and dead letters"),
                ],
            },
        ),
        migrations.AddField(
            model_name="deadletter",
            name="discard_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="discarded_at",
            field=openqueue.models.fields.InstantField(null=True),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="discarded_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
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
                    ("promoted", "promoted"),
                    ("prioritised", "prioritised"),
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
