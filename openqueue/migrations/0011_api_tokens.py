from __future__ import annotations

from typing import Any

from django.db import migrations, models

import openqueue.models.fields

TEXT = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}
"""MariaDB's collation and MySQL's: 'a' is neither 'A' nor 'a '."""


def set_collation(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "mysql":
        collation = TEXT[schema_editor.connection.mysql_is_mariadb]
        for name in ("ApiToken", "IdempotencyKey"):
            schema_editor.execute(
                f"ALTER TABLE {apps.get_model('openqueue', name)._meta.db_table} ENGINE = InnoDB,"
                f" CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"
            )


class Migration(migrations.Migration):
    dependencies = [
        ("openqueue", "0010_rollups"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("prefix", models.CharField(max_length=16)),
                ("digest", models.CharField(max_length=64)),
                ("scopes", openqueue.models.fields.JSONTextField()),
                ("queues", openqueue.models.fields.JSONTextField(null=True)),
                ("created_at", openqueue.models.fields.InstantField()),
                ("created_by", models.CharField(max_length=150)),
                ("expires_at", openqueue.models.fields.InstantField(null=True)),
                ("last_used_at", openqueue.models.fields.InstantField(null=True)),
                ("revoked_at", openqueue.models.fields.InstantField(null=True)),
            ],
            options={
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(fields=("name",), name="openqueue_apitoken_name"),
                    models.UniqueConstraint(fields=("prefix",), name="openqueue_apitoken_prefix"),
                ],
            },
        ),
        migrations.AlterModelOptions(
            name="queuestate",
            options={
                "ordering": ("name",),
                "permissions": [
                    ("pause_queue", "Can pause and resume queues"),
                    ("clear_queue", "Can clear queues"),
                ],
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
                ],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("owner", models.CharField(max_length=60)),
                ("key", models.CharField(max_length=200)),
                ("fingerprint", models.CharField(max_length=64)),
                ("answer", openqueue.models.fields.JSONTextField()),
                ("created_at", openqueue.models.fields.InstantField()),
            ],
            options={
                "indexes": [models.Index(fields=["created_at"], name="openqueue_idempotencykey_old")],
                "constraints": [
                    models.UniqueConstraint(fields=("owner", "key"), name="openqueue_idempotencykey_owner")
                ],
            },
        ),
        migrations.RunPython(set_collation, migrations.RunPython.noop, atomic=False, elidable=False),
    ]
