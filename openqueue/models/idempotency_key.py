"""What was answered to a request that may be sent again."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class IdempotencyKey(models.Model):
    """One key of one caller, with the answer that its first request got. Written in the transaction of its runs."""

    id = models.BigAutoField(primary_key=True)
    owner = models.CharField(max_length=60)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    """A keyed hash of the request: the same key with another request is a mistake."""
    answer = JSONTextField()
    created_at = InstantField()

    class Meta:
        constraints = [
            # The answer to a request that came before; two at once are one.
            models.UniqueConstraint(fields=["owner", "key"], name="openqueue_idempotencykey_owner"),
        ]
        indexes = [
            # Deleting those that are past their time, oldest first.
            models.Index(fields=["created_at"], name="openqueue_idempotencykey_old"),
        ]

    def __str__(self) -> str:
        return f"{self.owner} {self.key}"
