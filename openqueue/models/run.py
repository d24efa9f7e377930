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
    replay_of = models.UUIDField(null=True)
    """The past run that this one repeats. Its own history says by which run: no index is needed for the way back."""

    flow_id = models.UUIDField(null=True)
    """The flow that this is a node of. No index: a flow finds its runs through its nodes."""
    dedupe_key = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: its like may be triggered any time
    schedule_id = models.BigIntegerField(null=True)
    """The schedule that made it, which finds its runs through its ticks."""
    concurrency_key = models.CharField(max_length=220, null=True)  # noqa: DJ001  # null: not limited
    """What its limit counts by: the key that was given, or ``task:`` and the task's id."""
    ordering_key = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: in no order

    class Meta:
        ordering = ("-id",)
        indexes = [
            # Retention, and finished runs of one outcome newest first. Both columns are written once, at settle.
            models.Index(fields=["outcome", "finished_at"], name="openqueue_run_finished"),
        ]
        permissions = [
            ("view_payload", "Can view payloads, results, errors and logs"),
            ("trigger_run", "Can trigger runs"),
            ("cancel_run", "Can cancel runs"),
            ("retry_run", "Can retry runs"),
            ("promote_run", "Can promote runs and change priorities"),
            ("discard_run", "Can discard runs and dead letters"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.id}"

    @property
    def is_final(self) -> bool:
        """Tell whether the run has ended."""
        return self.status in FINAL
