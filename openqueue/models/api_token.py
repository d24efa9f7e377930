"""Who may talk to the API."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class ApiToken(models.Model):
    """A token of a program. Its secret is not here: only a SHA-256 of it."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=100)
    """What the record calls it, also long after it was revoked."""
    prefix = models.CharField(max_length=16)
    """The part of the token that finds this row, and that lists may show."""
    digest = models.CharField(max_length=64)
    scopes = JSONTextField()
    queues = JSONTextField(null=True)
    """The only queues it sees; null: all."""
    created_at = InstantField()
    created_by = models.CharField(max_length=150)
    expires_at = InstantField(null=True)
    last_used_at = InstantField(null=True)
    """Written once a minute at most."""
    revoked_at = InstantField(null=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            # A name is given once, also when its token is revoked.
            models.UniqueConstraint(fields=["name"], name="openqueue_apitoken_name"),
            # The token of a request.
            models.UniqueConstraint(fields=["prefix"], name="openqueue_apitoken_prefix"),
        ]

    def __str__(self) -> str:
        return self.name
