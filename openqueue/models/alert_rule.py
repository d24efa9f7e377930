"""What alerts are made of."""

from __future__ import annotations

from django.db import models

from openqueue.models.alert_channel import AlertChannel
from openqueue.models.fields import InstantField, JSONTextField


class AlertRule(models.Model):
    """One condition that is looked at again and again, and whom it concerns."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20)
    """One of the kinds in `openqueue.alerts.kinds`."""
    severity = models.CharField(max_length=10, default="warning")
    """critical, warning or info."""
    threshold = models.FloatField()
    """In the unit of its kind."""
    least = models.IntegerField(default=1)
    """Runs without which nothing is said, of kinds that count them."""
    factor = models.FloatField(default=3.0)
    """By how much an error must have risen."""
    window = models.IntegerField(default=300)
    """Seconds that are counted over."""
    hold = models.IntegerField(default=0)
    """Seconds that the condition must hold before the alert opens."""
    cooldown = models.IntegerField(default=300)
    """Seconds after an alert opened before the next one of the same subject does."""
    queues = JSONTextField()
    """The only ones it looks at; empty: all."""
    tasks = JSONTextField()
    tells_end = models.BooleanField(default=True)
    """Whether channels hear that it is over."""
    channels = models.ManyToManyField(AlertChannel, related_name="rules")
    paused_at = InstantField(null=True)
    paused_by = models.CharField(max_length=150, blank=True, default="")
    evaluated_at = InstantField(null=True)
    """The moment that it was last judged for; nothing is judged for a moment before it."""
    created_at = InstantField()
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("id",)
        constraints = [
            # A name is given once.
            models.UniqueConstraint(fields=["name"], name="openqueue_alertrule_name"),
        ]

    def __str__(self) -> str:
        return self.name
