from __future__ import annotations

from django.db import migrations, models

import openqueue.models.fields
import openqueue.models.partial


class Migration(migrations.Migration):
    dependencies = [("openqueue", "0007_dedupe_keys")]

    operations = [
        migrations.CreateModel(
            name="Limit",
            fields=[
                ("key", models.CharField(max_length=220, primary_key=True, serialize=False)),
                ("used_at", openqueue.models.fields.InstantField()),
            ],
            options={"ordering": ("key",)},
        ),
        migrations.CreateModel(
            name="Permit",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=220)),
                ("run_id", models.UUIDField()),
                ("attempt", models.IntegerField()),
                ("given_at", openqueue.models.fields.InstantField()),
                ("window", models.FloatField(null=True)),
                ("forget_at", openqueue.models.fields.InstantField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["key", "forget_at"], name="openqueue_permit_key")],
            },
        ),
        migrations.AddField(
            model_name="run", name="concurrency_key", field=models.CharField(max_length=220, null=True)
        ),
        migrations.AddField(
            model_name="run", name="ordering_key", field=models.CharField(max_length=200, null=True)
        ),
        migrations.AlterField(
            model_name="claim", name="concurrency_key", field=models.CharField(max_length=220, null=True)
        ),
        migrations.AlterField(
            model_name="outbox", name="concurrency_key", field=models.CharField(max_length=220, null=True)
        ),
        migrations.AddField(
            model_name="outbox", name="ordering_key", field=models.CharField(max_length=200, null=True)
        ),
        migrations.AddField(
            model_name="outbox", name="waits_for", field=models.CharField(max_length=220, null=True)
        ),
        migrations.AddField(model_name="outbox", name="turn", field=models.SmallIntegerField(null=True)),
        migrations.RemoveIndex(model_name="outbox", name="openqueue_outbox_later"),
        migrations.AddIndex(
            model_name="outbox",
            index=openqueue.models.partial.PartialIndex(
                ahead=("ready", "waits_for"),
                fields=["due_at"],
                name="openqueue_outbox_later",
                where=models.Q(("ready", False), ("waits_for__isnull", True)),
            ),
        ),
        migrations.AddIndex(
            model_name="outbox",
            index=openqueue.models.partial.PartialIndex(
                ahead=(),
                fields=["waits_for", "turn", "due_at", "run_id"],
                name="openqueue_outbox_waits",
                where=models.Q(("waits_for__isnull", False)),
            ),
        ),
    ]
