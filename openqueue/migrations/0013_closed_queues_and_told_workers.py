from __future__ import annotations

from django.db import migrations, models

from openqueue.models.fields import InstantField


class Migration(migrations.Migration):
    dependencies = [("openqueue", "0012_more_permissions")]

    operations = [
        migrations.AddIndex(
            model_name="auditlog",
            index=models.Index(fields=["object", "id"], name="openqueue_auditlog_object"),
        ),
        migrations.AddIndex(
            model_name="auditlog", index=models.Index(fields=["at"], name="openqueue_auditlog_at")
        ),
        migrations.AlterField(
            model_name="run",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", ""),
                    ("error", "error"),
                    ("timed_out", "timed_out"),
                    ("non_retryable", "non_retryable"),
                    ("worker_lost", "worker_lost"),
                    ("unknown_task", "unknown_task"),
                    ("unpublishable", "unpublishable"),
                    ("payload_invalid", "payload_invalid"),
                    ("result_invalid", "result_invalid"),
                    ("dependency_failed", "dependency_failed"),
                    ("by_user", "by_user"),
                    ("queue_closed", "queue_closed"),
                ],
                max_length=24,
            ),
        ),
        migrations.AlterModelOptions(
            name="worker",
            options={
                "ordering": ("-started_at",),
                "permissions": [("control_worker", "Can tell workers to be quiet, to go on and to stop")],
            },
        ),
        migrations.AlterModelOptions(
            name="outbox",
            options={
                "permissions": [("flush_outbox", "Can have waiting runs announced at once")],
                "verbose_name_plural": "outbox",
            },
        ),
        migrations.AddField(model_name="worker", name="commanded_at", field=InstantField(null=True)),
        migrations.AddField(
            model_name="worker",
            name="commanded_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
        migrations.AddField(
            model_name="worker",
            name="obeys",
            field=models.CharField(blank=True, db_default="", default="", max_length=12),
        ),
        migrations.AddField(
            model_name="queuestate",
            name="behaviour",
            field=models.CharField(blank=True, db_default="", default="", max_length=8),
        ),
        migrations.AddField(
            model_name="queuestate",
            name="draining",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(model_name="queuestate", name="closed_at", field=InstantField(null=True)),
        migrations.AddField(
            model_name="queuestate",
            name="closed_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
        migrations.AddField(
            model_name="queuestate",
            name="close_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
    ]
