"""Worker incarnations and their leases."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class Worker(models.Model):
    """One incarnation of a worker process. Its lease guards every claim it holds."""

    id = models.UUIDField(primary_key=True)
    host = models.CharField(max_length=200)
    pid = models.IntegerField()
    version = models.CharField(max_length=40)
    runtimes = JSONTextField()
    queues = JSONTextField()
    tasks = JSONTextField()
    """Ids of the tasks it has registered: no other worker takes a run of theirs for unknown."""
    slots = models.IntegerField()
    busy = models.IntegerField(default=0)
    state = models.CharField(max_length=12)
    """running, stopping, stopped or lost."""
    command = models.CharField(max_length=12, blank=True, default="")
    started_at = InstantField()
    lease_until = InstantField()

    class Meta:
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
