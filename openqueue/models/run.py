"""One request to execute a task: the row people look at."""

from __future__ import annotations

from django.db import models

from openqueue.ids import uuid7
from openqueue.models.fields import InstantField, JSONTextField
from openqueue.states import FINAL, Reason, Status


class Run(models.Model):
    """A run and how it stands now; its history is in RunEvent.

    Read it freely; write it only through the API: a status changes in ``core.transitions`` and nowhere else.
    No index may mention a column that changes between trigger and settle, so that the claim stays a heap-only
    update (docs: decisions/0002). What is unfinished is found through outbox and claims.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    task_id = models.CharField(max_length=200)
    queue = models.CharField(max_length=63)
    runtime = models.CharField(max_length=63)
    status = models.CharField(max_length=12, choices=[(s.value, s.value) for s in Status])
    reason = models.CharField(max_length=24, blank=True, choices=[(r.value, r.value) for r in Reason])
    priority = models.SmallIntegerField(default=0)
    payload = JSONTextField()
    result = JSONTextField(null=True)
    error = JSONTextField(null=True)
    meta = JSONTextField(null=True)
    tags = JSONTextField(null=True)
    options = JSONTextField(null=True)
    """What ``using()`` changed for this run: timeout, backoff."""
    attempt = models.IntegerField(default=0)
    max_attempts = models.IntegerField()
    crash_count = models.IntegerField(default=0)
    cycle = models.IntegerField(default=1)
    version = models.IntegerField(default=1)
    """Counts changes of status and place; the ``seq`` of an announcement is the version it was written at."""
    worker_id = models.UUIDField(null=True)
    outcome = models.CharField(max_length=12, null=True)  # noqa: DJ001  # null: not finished, and not in the index's way
    created_at = InstantField()
    scheduled_for = InstantField()
    expires_at = InstantField(null=True)
    started_at = InstantField(null=True)
    finished_at = InstantField(null=True)
    traceparent = models.CharField(max_length=255, null=True)  # noqa: DJ001  # null: the trigger was not traced

    class Meta:
        ordering = ("-id",)
        indexes = [
            # Retention, and finished runs of one outcome newest first. Both columns are written once, at settle.
            models.Index(fields=["outcome", "finished_at"], name="openqueue_run_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.id}"

    @property
    def is_final(self) -> bool:
        """Tell whether the run has ended."""
        return self.status in FINAL
