"""Messages that could not become a run."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class DeadLetter(models.Model):
    """One poison message, with where it came from and enough of it to find its sender; never its whole body."""

    id = models.BigAutoField(primary_key=True)
    runtime = models.CharField(max_length=63)
    queue = models.CharField(max_length=63)
    origin = JSONTextField(null=True)
    """Coordinates at the broker: topic, partition, offset; or exchange and routing key."""
    reason = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    head = models.CharField(max_length=400)
    """The first 200 bytes, in hexadecimal."""
    at = InstantField()
    discarded_at = InstantField(null=True)
    """When an operator had seen enough of it."""
    discarded_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    discard_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.queue}: {self.reason}"
