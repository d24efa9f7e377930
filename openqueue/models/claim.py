"""Who runs what right now."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField
from openqueue.models.run import Run


class Claim(models.Model):
    """One attempt that a worker holds. Deleting it by (run, token) is the fence of every settle."""

    run = models.OneToOneField(
        Run, on_delete=models.DO_NOTHING, primary_key=True, related_name="claim", db_constraint=False
    )
    seq = models.IntegerField()
    attempt = models.IntegerField()
    task_id = models.CharField(max_length=200)
    worker_id = models.UUIDField()
    token = models.UUIDField()
    queue = models.CharField(max_length=63)
    concurrency_key = models.CharField(max_length=220, null=True)  # noqa: DJ001  # null: not limited
    claimed_at = InstantField()
    cancel_requested_at = InstantField(null=True)
    cancel_requested_by = models.CharField(max_length=150, null=True)  # noqa: DJ001  # null: nobody asked
    expires_at = InstantField(null=True)

    class Meta:
        indexes = [
            # Heartbeat and reaper: the claims of one incarnation.
            models.Index(fields=["worker_id"], name="openqueue_claim_worker"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.run_id} attempt {self.attempt}"
