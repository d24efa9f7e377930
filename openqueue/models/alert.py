"""What fired, and who was told."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from openqueue.ids import uuid7
from openqueue.models.alert_channel import AlertChannel
from openqueue.models.alert_rule import AlertRule
from openqueue.models.fields import InstantField, JSONTextField
from openqueue.models.partial import PartialIndex, PartialUnique


class Alert(models.Model):
    """A rule whose condition held for one subject: pending, open, or over.

    One row at most stands for a rule and a subject, whatever the number of processes that look.
    """

    id = models.UUIDField(primary_key=True, default=uuid7)
    rule = models.ForeignKey(AlertRule, null=True, on_delete=models.SET_NULL, db_index=False)
    """Null: it was deleted since."""
    subject = models.CharField(max_length=220)
    """What it is about: queue mail, task shop.ship, runtime default."""
    standing = models.SmallIntegerField(null=True)
    """1 while it is pending or open; null once it is over."""
    rule_name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20)
    severity = models.CharField(max_length=10)
    value = models.FloatField()
    """As it was last seen, in the unit of the kind."""
    text = models.CharField(max_length=500)
    """What was seen last while it held, as a sentence."""
    began_at = InstantField()
    """Since when the condition holds."""
    opened_at = InstantField(null=True)
    """Null: it has not held for long enough yet, or the cooldown is not over."""
    ended_at = InstantField(null=True)
    ended_by = models.CharField(max_length=150, blank=True, default="")
    """Empty: the condition held no more. Otherwise who paused, changed or deleted the rule."""
    acknowledged_at = InstantField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True, default="")
    acknowledged_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ("-id",)
        constraints = [
            # What stands is looked up by its rule and subject, and there is one.
            PartialUnique(fields=["rule", "subject", "standing"], name="openqueue_alert_standing"),
        ]
        indexes = [
            # What stands.
            PartialIndex(fields=["standing"], name="openqueue_alert_stands", where=Q(standing__isnull=False)),
            # Cooldowns: when each subject of a rule last opened.
            models.Index(fields=["opened_at"], name="openqueue_alert_opened"),
            # Retention, oldest first.
            models.Index(fields=["ended_at"], name="openqueue_alert_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.rule_name}: {self.subject}"


class AlertDelivery(models.Model):
    """One message to one channel: written with the alert, sent afterwards, tried again, and kept."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    """What the receiver knows it by, however often it is sent."""
    alert = models.ForeignKey(
        Alert, null=True, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    """Null: a test of the channel."""
    channel = models.ForeignKey(AlertChannel, null=True, on_delete=models.SET_NULL, db_index=False)
    channel_name = models.CharField(max_length=100)
    event = models.CharField(max_length=10)
    """opened, ended or test."""
    facts = JSONTextField()
    """What there is to say."""
    state = models.CharField(max_length=10, default="waiting")
    """waiting, sent, failed (it was tried often enough) or dropped (somebody paused or deleted the channel)."""
    tries = models.IntegerField(default=0)
    due_at = InstantField(null=True)
    """When it is sent, or taken for lost by whoever sends it; null once it is sent, failed or dropped."""
    created_at = InstantField()
    sent_at = InstantField(null=True)
    log = JSONTextField()
    """Of each try: when, status, milliseconds, error."""

    class Meta:
        ordering = ("-id",)
        indexes = [
            # What is to be sent.
            PartialIndex(
                fields=["due_at"], name="openqueue_alertdelivery_due", where=Q(due_at__isnull=False)
            ),
            # The messages of one alert; an alert that is deleted.
            models.Index(fields=["alert"], name="openqueue_alertdelivery_alert"),
            # What waits for a channel that is paused; a channel that is deleted; when it was last sent to.
            models.Index(fields=["channel", "id"], name="openqueue_alertdelivery_last"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.channel_name}"
