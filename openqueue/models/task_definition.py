"""Tasks whose bodies are not Python: what workers over HTTP said of them."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class TaskDefinition(models.Model):
    """A task that a worker in another language serves. Read it freely; it is written through the API."""

    task_id = models.CharField(primary_key=True, max_length=200)
    queue = models.CharField(max_length=63)
    declaration = JSONTextField()
    """What ``@task`` says of a Python function, as JSON: schema, options, limits, needs, schedule."""
    created_at = InstantField()
    updated_at = InstantField()
    updated_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("task_id",)

    def __str__(self) -> str:
        return self.task_id
