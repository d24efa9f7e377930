"""What operators decided about a queue."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class QueueState(models.Model):
    """One queue that was ever touched by an operator. A queue without a row is open."""

    name = models.CharField(max_length=63, primary_key=True)
    paused = models.BooleanField(default=False)
    """Workers start nothing of it, since it is paused, or disabled, or both."""
    paused_at = InstantField(null=True)
    paused_by = models.CharField(max_length=150, blank=True, default="")
    pause_reason = models.CharField(max_length=500, blank=True, default="")
    behaviour = models.CharField(max_length=8, blank=True, default="", db_default="")
    """What becomes of runs that are triggered while it is disabled or drained: hold, reject or skip; empty: it is open.
    A queue that is disabled is also `paused`, without a moment at which somebody paused it."""
    draining = models.BooleanField(default=False, db_default=False)
    """It takes in nothing new, by its behaviour, and what is there is worked off."""
    closed_at = InstantField(null=True)
    closed_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    close_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        ordering = ("name",)
        permissions = [
            ("pause_queue", "Can pause and resume queues"),
            ("clear_queue", "Can clear queues"),
        ]

    def __str__(self) -> str:
        return self.name
