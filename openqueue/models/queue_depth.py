"""How much stood in each queue, minute by minute and hour by hour."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class QueueDepth(models.Model):
    """How much stood in one queue when the sweep `depths` looked: once in a minute, or in the minutes of one hour.

    The row without a queue is of all queues together, and is there whenever the sweep looked: a queue that has no row
    beside it had nothing.
    """

    id = models.BigAutoField(primary_key=True)
    period = models.IntegerField()
    """Seconds: 60 or 3,600."""
    start = InstantField()
    queue = models.CharField(max_length=63, blank=True)
    """Empty: all together."""
    ready = models.IntegerField(default=0)
    """Due and free to start, at the last look of the period; of a minute it is the only one."""
    held = models.IntegerField(default=0)
    """Due and kept from starting: by a pause, a limit or an order."""
    delayed = models.IntegerField(default=0)
    running = models.IntegerField(default=0)
    oldest = models.FloatField(default=0.0)
    """Seconds that the oldest due run had waited; 0: none was due."""
    most_ready = models.IntegerField(default=0)
    """At the look at which most was ready, held and running together; so are the next three."""
    most_held = models.IntegerField(default=0)
    most_delayed = models.IntegerField(default=0)
    most_running = models.IntegerField(default=0)
    longest = models.FloatField(default=0.0)
    """The highest of all looks' `oldest`."""

    class Meta:
        ordering = ("-start",)
        constraints = [
            # One row each, so that a minute is looked at once by however many processes; and the series of a queue.
            models.UniqueConstraint(fields=["period", "queue", "start"], name="openqueue_depth_place"),
        ]
        indexes = [
            # Hours made of minutes, and retention: all queues of a range of starts.
            models.Index(fields=["period", "start"], name="openqueue_depth_start"),
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.start} {self.period}"
