"""What operators did."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class AuditLog(models.Model):
    """One act of an operator: who did what to which object, and why; or `refused`. Append-only."""

    id = models.BigAutoField(primary_key=True)
    actor = models.CharField(max_length=150)
    act = models.CharField(max_length=60)
    object = models.CharField(max_length=200)
    before = JSONTextField(null=True)
    after = JSONTextField(null=True)
    reason = models.CharField(max_length=500, blank=True, default="")
    origin = models.CharField(max_length=150, blank=True, default="", db_default="")
    """Address and id of the request, of acts over HTTP."""
    at = InstantField()

    class Meta:
        ordering = ("-id",)
        indexes = [
            # What was done to one object, newest first.
            models.Index(fields=["object", "id"], name="openqueue_auditlog_object"),
            # Retention, oldest first.
            models.Index(fields=["at"], name="openqueue_auditlog_at"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.act} {self.object}"
