from __future__ import annotations

from datetime import timedelta

import django.db.models.deletion
from django.db import migrations, models

from openqueue.models.fields import InstantField, JSONTextField
from openqueue.models.partial import PartialIndex


class Migration(migrations.Migration):
    dependencies = [
        ("openqueue", "0004_run_links"),
    ]

    operations = [
        migrations.CreateModel(
            name="Schedule",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("task_id", models.CharField(max_length=200)),
                ("key", models.CharField(max_length=200)),
                ("cron", models.CharField(blank=True, default="", max_length=200)),
                ("every", models.DurationField(null=True)),
                ("timezone", models.CharField(default="UTC", max_length=64)),
                ("payload", JSONTextField()),
                ("options", JSONTextField(null=True)),
                ("misfire", models.CharField(default="run_once", max_length=12)),
                ("catchup_window", models.DurationField(null=True)),
                ("overlap", models.CharField(default="allow", max_length=8)),
                ("jitter", models.DurationField(default=timedelta)),
                ("starts_at", InstantField(null=True)),
                ("ends_at", InstantField(null=True)),
                ("anchor", InstantField()),
                ("declaration", JSONTextField(null=True)),
                ("paused_at", InstantField(null=True)),
                ("paused_by", models.CharField(blank=True, default="", max_length=150)),
                ("retired_at", InstantField(null=True)),
                ("next_tick", InstantField(null=True)),
                ("next_at", InstantField(null=True)),
                ("last_tick", InstantField(null=True)),
                ("last_run_at", InstantField(null=True)),
                ("last_run_id", models.UUIDField(null=True)),
                ("manual_run_id", models.UUIDField(null=True)),
                ("waiting_tick", InstantField(null=True)),
                ("error", models.CharField(blank=True, default="", max_length=500)),
                ("error_at", InstantField(null=True)),
                ("failures", models.IntegerField(default=0)),
                ("created_at", InstantField()),
                ("updated_at", InstantField()),
            ],
            options={
                "ordering": ("id",),
                "indexes": [
                    PartialIndex(
                        ahead=(),
                        fields=["next_at"],
                        name="openqueue_schedule_due",
                        where=models.Q(("next_at__isnull", False)),
                    ),
                    PartialIndex(
                        ahead=(),
                        fields=["waiting_tick"],
                        name="openqueue_schedule_waiting",
                        where=models.Q(("waiting_tick__isnull", False)),
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("task_id", "key"), name="openqueue_schedule_key")
                ],
            },
        ),
        migrations.CreateModel(
            name="ScheduleTick",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tick", InstantField()),
                ("until", InstantField(null=True)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("run", "run"),
                            ("waiting", "waiting"),
                            ("missed", "missed"),
                            ("out_of_window", "out_of_window"),
                            ("overlapped", "overlapped"),
                            ("paused", "paused"),
                            ("failed", "failed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("run_id", models.UUIDField(null=True)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("at", InstantField()),
                (
                    "schedule",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="ticks",
                        to="openqueue.schedule",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["at"], name="openqueue_scheduletick_at")],
                "constraints": [
                    models.UniqueConstraint(fields=("schedule", "tick"), name="openqueue_scheduletick_once")
                ],
            },
        ),
    ]
