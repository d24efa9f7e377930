from __future__ import annotations

from typing import Any

from django.db import migrations, models

import openqueue.models.fields

TEXT = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}
"""MariaDB's collation and MySQL's: 'a' is neither 'A' nor 'a '."""


def set_collation(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "mysql":
        collation = TEXT[schema_editor.connection.mysql_is_mariadb]
        table = apps.get_model("openqueue", "TaskDefinition")._meta.db_table
        schema_editor.execute(
            f"ALTER TABLE {table} ENGINE = InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"
        )


class Migration(migrations.Migration):
    dependencies = [("openqueue", "0014_acts_on_runs")]

    operations = [
        migrations.CreateModel(
            name="TaskDefinition",
            fields=[
                ("task_id", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("queue", models.CharField(max_length=63)),
                ("declaration", openqueue.models.fields.JSONTextField()),
                ("created_at", openqueue.models.fields.InstantField()),
                ("updated_at", openqueue.models.fields.InstantField()),
                ("updated_by", models.CharField(max_length=150)),
            ],
            options={
                "ordering": ("task_id",),
            },
        ),
        migrations.AddField(
            model_name="worker",
            name="language",
            field=models.CharField(db_default="python", default="python", max_length=40),
        ),
        migrations.AddField(
            model_name="worker",
            name="owner",
            field=models.CharField(max_length=60, null=True),
        ),
        migrations.AddField(
            model_name="worker",
            name="labels",
            field=openqueue.models.fields.JSONTextField(null=True),
        ),
        migrations.RunPython(set_collation, migrations.RunPython.noop, atomic=False, elidable=False),
    ]
