"""Where alerts are sent."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField


class AlertChannel(models.Model):
    """One place that alerts are sent to: addresses of people, a webhook, or a chat that takes Slack's messages."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10)
    """email, webhook or slack."""
    shown = models.CharField(max_length=300)
    """What lists show of its target: the addresses, or the host and the end of the URL."""
    target = JSONTextField()
    """Recipients; or URL and signing secret, encrypted."""
    paused_at = InstantField(null=True)
    """Nothing is sent to it since then."""
    paused_by = models.CharField(max_length=150, blank=True, default="")
    created_at = InstantField()
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("id",)
        constraints = [
            # A name is given once.
            models.UniqueConstraint(fields=["name"], name="openqueue_alertchannel_name"),
        ]

    def __str__(self) -> str:
        return self.name
