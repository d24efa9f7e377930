"""Releases of the project that workers have told."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class Release(models.Model):
    """One release (``OPENQUEUE["RELEASE"]``), since a worker first told it; kept when its workers are forgotten."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=60)
    first_seen = InstantField()

    class Meta:
        ordering = ("first_seen", "id")
        constraints = [
            # A worker that begins asks whether its release is known.
            models.UniqueConstraint(fields=["name"], name="openqueue_release_name"),
        ]
        indexes = [
            # Those that were first seen within a window; the newest.
            models.Index(fields=["first_seen", "id"], name="openqueue_release_seen"),
        ]

    def __str__(self) -> str:
        return self.name
