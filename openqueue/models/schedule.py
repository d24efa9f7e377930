"""Rules by which runs are created again and again."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q

from openqueue.models.fields import InstantField, JSONTextField
from openqueue.models.partial import PartialIndex


class Schedule(models.Model):
    """When a task is due again, and how that went the last time.

    Read it freely; change it through ``task.schedules`` or ``control.schedules``, which work out `next_at` anew.
    """

    id = models.BigAutoField(primary_key=True)
    task_id = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    """Its name among the schedules of its task; empty for the one that ``@task(cron=...)`` declares."""
    cron = models.CharField(max_length=200, blank=True, default="")
    every = models.DurationField(null=True)
    timezone = models.CharField(max_length=64, default="UTC")
    payload = JSONTextField()
    options = JSONTextField(null=True)
    """What a run gets besides the task's own options: queue, priority, tags."""
    misfire = models.CharField(max_length=12, default="run_once")
    catchup_window = models.DurationField(null=True)
    overlap = models.CharField(max_length=8, default="allow")
    jitter = models.DurationField(default=timedelta)
    starts_at = InstantField(null=True)
    ends_at = InstantField(null=True)
    anchor = InstantField()
    """What intervals are counted from: `starts_at`, or when the schedule was made."""
    declaration = JSONTextField(null=True)
    """What the code said when it was last looked at; null for schedules that code does not declare."""
    paused_at = InstantField(null=True)
    paused_by = models.CharField(max_length=150, blank=True, default="")
    retired_at = InstantField(null=True)
    """When the code was found not to declare it any more."""
    next_tick = InstantField(null=True)
    """The next moment by the rule."""
    next_at = InstantField(null=True)
    """When a scheduler looks at it again: `next_tick` with its jitter. Null: paused, retired or ended."""
    last_tick = InstantField(null=True)
    """The newest moment that was dealt with, run or not."""
    last_run_at = InstantField(null=True)
    last_run_id = models.UUIDField(null=True)
    manual_run_id = models.UUIDField(null=True)
    """The newest run that somebody asked for beside the rule."""
    waiting_tick = InstantField(null=True)
    """The tick that waits for the run before it to end."""
    error = models.CharField(max_length=500, blank=True, default="")
    """Why no run could be made of the last tick; empty once one could."""
    error_at = InstantField(null=True)
    failures = models.IntegerField(default=0)
    """In a row."""
    created_at = InstantField()
    updated_at = InstantField()
    """When its rule, payload or options were last changed."""

    class Meta:
        ordering = ("id",)
        permissions = [
            ("pause_schedule", "Can pause and resume schedules"),
            ("trigger_schedule", "Can trigger schedules"),
        ]
        constraints = [
            # One schedule a key; and the lists of one task.
            models.UniqueConstraint(fields=["task_id", "key"], name="openqueue_schedule_key"),
        ]
        indexes = [
            # Sweep of due schedules, and when the next one is due.
            PartialIndex(fields=["next_at"], name="openqueue_schedule_due", where=Q(next_at__isnull=False)),
            # Sweep of ticks that wait for a run to end.
            PartialIndex(
                fields=["waiting_tick"],
                name="openqueue_schedule_waiting",
                where=Q(waiting_tick__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.key}".strip()

    @property
    def is_declared(self) -> bool:
        """Tell whether code declares it, or did."""
        return self.declaration is not None

    @property
    def status(self) -> str:
        """Where it stands: active, failing, paused, retired or ended."""
        if self.retired_at is not None:
            return "retired"
        if self.paused_at is not None:
            return "paused"
        if self.error:
            return "failing"
        return "ended" if self.next_at is None else "active"
