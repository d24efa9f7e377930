"""Limits of the whole fleet: what is counted under one lock, and who was let through."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class Limit(models.Model):
    """One limited key: its row is the lock under which permits are counted and given."""

    key = models.CharField(max_length=220, primary_key=True)
    used_at = InstantField()
    """When somebody was let through last."""

    class Meta:
        ordering = ("key",)

    def __str__(self) -> str:
        return self.key


class Permit(models.Model):
    """One run that was let through. It holds the permit as long as its place says so: a claim, or a ready row.

    So nobody gives a permit back: it comes back with the claim. What rate limits count is kept for their window.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=220)
    run_id = models.UUIDField()
    attempt = models.IntegerField()
    """The number of the attempt that it was given to."""
    given_at = InstantField()
    window = models.FloatField(null=True)
    """Seconds for which a rate counts its start; null: no rate does."""
    forget_at = InstantField(null=True)
    """When the window of its start ends, once it holds nothing any more and only a rate still counts it."""

    class Meta:
        indexes = [
            # Who holds permits of a key, and what its rate still counts.
            models.Index(fields=["key", "forget_at"], name="openqueue_permit_key"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.run_id}"
