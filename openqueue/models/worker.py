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
    """Of OpenQueue, or of the client that a worker over HTTP is made with."""
    release = models.CharField(max_length=60, blank=True, default="", db_default="")
    """The project's own, as the worker's settings say; empty: none was told."""
    runtimes = JSONTextField()
    queues = JSONTextField()
    tasks = JSONTextField()
    """Ids of the tasks it has registered: no other worker takes a run of theirs for unknown."""
    slots = models.IntegerField()
    busy = models.IntegerField(default=0)
    state = models.CharField(max_length=12)
    """running, stopping, stopped or lost."""
    lag = models.FloatField(default=0.0, db_default=0.0)
    """Seconds by which its threads start late while it is overloaded; otherwise 0."""
    memory = models.BigIntegerField(null=True)
    """Bytes that it and its children take of the host's memory; null: it does not tell."""
    memories = JSONTextField(null=True)
    """The same of its last hour: a moment (minutes since 1970 UTC) and the most of each minute, oldest first."""
    command = models.CharField(max_length=12, blank=True, default="")
    """What an operator wants of it: quiet, stop, or nothing."""
    commanded_at = InstantField(null=True)
    commanded_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    obeys = models.CharField(max_length=12, blank=True, default="", db_default="")
    """The command that it has heard and follows; it differs from `command` for a second at most while it lives."""
    language = models.CharField(max_length=40, default="python", db_default="python")
    owner = models.CharField(max_length=60, null=True)  # noqa: DJ001  # null: of this project, not over HTTP
    """The credential of a worker over HTTP: nobody else speaks for it."""
    labels = JSONTextField(null=True)
    """What its host has, such as a GPU; tasks may need it."""
    started_at = InstantField()
    lease_until = InstantField()

    class Meta:
        ordering = ("-started_at",)
        permissions = [("control_worker", "Can tell workers to be quiet, to go on and to stop")]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
