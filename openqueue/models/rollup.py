"""What ended, by minute, hour and day."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class Rollup(models.Model):
    """How the runs of one task in one queue ended in one minute, hour or day.

    Written by the sweep `rollups`, from what the runs said when the minute was closed; the same minute again gives the
    same row.
    """

    id = models.BigAutoField(primary_key=True)
    period = models.IntegerField()
    """Seconds: 60, 3,600 or 86,400."""
    start = InstantField()
    task_id = models.CharField(max_length=200)
    queue = models.CharField(max_length=63)
    completed = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    expired = models.IntegerField(default=0)
    retries = models.IntegerField(default=0)
    """Attempts beyond the first that these runs took, crashes aside."""
    crashes = models.IntegerField(default=0)
    """Attempts of them that were lost with their worker."""
    waits = JSONTextField()
    """Runs by bucket of their wait, from their due time to their start, of those that took one attempt."""
    times = JSONTextField()
    """Runs by bucket of the time that their last attempt took."""
    wait_seconds = models.FloatField(default=0.0)
    run_seconds = models.FloatField(default=0.0)
    longest = models.FloatField(default=0.0)
    """Seconds of the longest last attempt."""

    class Meta:
        ordering = ("-start",)
        constraints = [
            # One row each; and series: one period, a range of starts.
            models.UniqueConstraint(
                fields=["period", "start", "task_id", "queue"], name="openqueue_rollup_place"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.queue} {self.start} {self.period}"


class RollupMark(models.Model):
    """How far the roll-ups of one period have come. Its row lock lets one process at a time write them."""

    name = models.CharField(max_length=10, primary_key=True)
    """minutes, hours or days."""
    until = InstantField()
    """What ended before is in the rows; what ended since is to be read from the runs."""
    sure_until = InstantField()
    """Before this nothing can change any more: whatever could still commit has."""

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return f"{self.name} until {self.until}"
