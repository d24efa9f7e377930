"""How far readers have come."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class RuntimeOffset(models.Model):
    """One reader's place in one source: a replay in the history of runs, or in one partition of a topic.

    It moves in the transaction that writes what was made of what was read: an interrupted reader goes on here, and
    nothing is made twice.
    """

    id = models.BigAutoField(primary_key=True)
    reader = models.CharField(max_length=100)
    source = models.CharField(max_length=250)
    """``runs``, or a partition of a topic."""
    position = models.CharField(max_length=40)
    """The run read last, or the offset to read next."""
    until = models.CharField(max_length=40)
    """Where it ends."""
    plan = JSONTextField()
    """What is read and made, as it was settled when it began."""
    tally = JSONTextField()
    """What was made so far, and what was not, and why."""
    started_at = InstantField()
    moved_at = InstantField()
    finished_at = InstantField(null=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            # Who asks for a replay again goes on with it: WHERE reader LIKE "replay DIGEST-%".
            # Two who begin the same at once make it once.
            models.UniqueConstraint(fields=["reader", "source"], name="openqueue_runtimeoffset_place"),
        ]

    def __str__(self) -> str:
        return f"{self.reader} {self.source} at {self.position}"
