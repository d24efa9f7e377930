"""What operators decided about a queue."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class QueueState(models.Model):
    """One queue that was ever touched by an operator. A queue without a row is open."""

    name = models.CharField(max_length=63, primary_key=True)
    paused = models.BooleanField(default=False)
    paused_at = InstantField(null=True)
    paused_by = models.CharField(max_length=150, blank=True, default="")
    pause_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
