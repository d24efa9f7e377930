"""What a run's code logged."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField
from openqueue.models.run import Run


class RunLog(models.Model):
    """One log line of one attempt."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="logs", db_constraint=False, db_index=False
    )
    attempt = models.IntegerField()
    level = models.SmallIntegerField()
    text = models.TextField()
    at = InstantField()

    class Meta:
        ordering = ("id",)
        indexes = [
            # The log of one run, in order.
            models.Index(fields=["run", "id"], name="openqueue_runlog_run"),
            # Retention of logs, oldest first.
            models.Index(fields=["at"], name="openqueue_runlog_at"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
