"""What is due, now or later: the small hot table, and the queue of the database runtime."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from openqueue.models.fields import InstantField
from openqueue.models.run import Run


class Outbox(models.Model):
    """One run that waits to be claimed. Inserted with the run, deleted by the claim."""

    run = models.OneToOneField(
        Run, on_delete=models.DO_NOTHING, primary_key=True, related_name="outbox", db_constraint=False
    )
    seq = models.IntegerField()
    attempt = models.IntegerField()
    """The number the next attempt will have."""
    task_id = models.CharField(max_length=200)
    runtime = models.CharField(max_length=63)
    queue = models.CharField(max_length=63)
    priority = models.SmallIntegerField()
    due_at = InstantField()
    ready = models.BooleanField()
    """Set at insert when due, else by the sweep of rows falling due; the hot indexes hold ready rows only."""
    expires_at = InstantField(null=True)
    concurrency_key = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: not limited
    announce_at = InstantField()
    announced_at = InstantField(null=True)
    broker_ref = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: the broker told none
    tries = models.IntegerField(default=0)
    last_error = models.CharField(max_length=500, null=True)  # noqa: DJ001  # null: no error

    class Meta:
        verbose_name_plural = "outbox"
        indexes = [
            # Claim of due rows: one branch a queue, highest priority first, then due time.
            models.Index(
                F("runtime"),
                F("queue"),
                F("priority").desc(),
                F("due_at"),
                name="openqueue_outbox_due",
                condition=Q(ready=True),
            ),
            # Sweep of rows falling due.
            models.Index(fields=["due_at"], name="openqueue_outbox_later", condition=Q(ready=False)),
            # Sweep of rows whose time to live ended.
            models.Index(
                fields=["expires_at"], name="openqueue_outbox_expires", condition=Q(expires_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.run_id} #{self.seq}"
