"""The moments at which schedules were due."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField
from openqueue.models.schedule import Schedule
from openqueue.states import TickOutcome


class ScheduleTick(models.Model):
    """One moment of one schedule and what became of it, written in the transaction of its run. Append-only."""

    id = models.BigAutoField(primary_key=True)
    schedule = models.ForeignKey(
        Schedule, on_delete=models.DO_NOTHING, related_name="ticks", db_constraint=False, db_index=False
    )
    tick = InstantField()
    until = InstantField(null=True)
    """The last moment that this row stands for, where it stands for many that were missed."""
    outcome = models.CharField(max_length=16, choices=[(o.value, o.value) for o in TickOutcome])
    run_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=500, blank=True, default="")
    at = InstantField()

    class Meta:
        ordering = ("-id",)
        constraints = [
            # No moment becomes two runs; and the history of one schedule.
            models.UniqueConstraint(fields=["schedule", "tick"], name="openqueue_scheduletick_once"),
        ]
        indexes = [
            # Retention.
            models.Index(fields=["at"], name="openqueue_scheduletick_at"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.tick:%Y-%m-%d %H:%M:%S} {self.outcome}"
