"""Failures that are the same."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class ErrorGroup(models.Model):
    """Failed runs of one task whose error is of one class and was raised at one place of the project's code."""

    OPEN, RESOLVED, IGNORED = "open", "resolved", "ignored"
    STATES = [(OPEN, OPEN), (RESOLVED, RESOLVED), (IGNORED, IGNORED)]

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=32)
    task_id = models.CharField(max_length=200)
    type = models.CharField(max_length=256)
    place = models.CharField(max_length=300)
    """File and function of the own frame that failed; without one, the shape of the message."""
    message = models.CharField(max_length=500)
    """Of the run that failed last."""
    state = models.CharField(max_length=10, default=OPEN, choices=STATES)
    count = models.BigIntegerField(default=0)
    first_seen = InstantField()
    last_seen = InstantField()
    last_run = models.UUIDField()
    first_release = models.CharField(max_length=60, blank=True, default="", db_default="")
    """Which failed so first, and last; empty: it told none."""
    last_release = models.CharField(max_length=60, blank=True, default="", db_default="")
    ignored_until = InstantField(null=True)
    """Null while it is ignored: for ever."""
    ignored_above = models.IntegerField(null=True)
    """Of an ignored one: more failures than that within one hour open it. Null: none do."""
    resolved_in = models.CharField(max_length=60, blank=True, default="", db_default="")
    """Of a resolved one: failures of older releases do not open it. Empty: those of any release do."""
    returned_at = InstantField(null=True)
    """When it failed so again after somebody had resolved or ignored it."""
    changed_at = InstantField(null=True)
    """When somebody resolved, ignored or opened it."""
    changed_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        ordering = ("-last_seen",)
        permissions = [("triage_errorgroup", "Can resolve, ignore and reopen groups of errors")]
        constraints = [
            # The group of a failure, when it is counted.
            models.UniqueConstraint(fields=["fingerprint"], name="openqueue_errorgroup_fingerprint"),
        ]
        indexes = [
            # The list of one state, seen last first.
            models.Index(fields=["state", "last_seen"], name="openqueue_errorgroup_state"),
            # The list of all, seen last first.
            models.Index(fields=["last_seen"], name="openqueue_errorgroup_seen"),
        ]

    def __str__(self) -> str:
        return f"{self.type} in {self.task_id}"


class ErrorCount(models.Model):
    """How many runs of one release failed so in one minute, hour or day."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(ErrorGroup, on_delete=models.CASCADE, related_name="counts", db_index=False)
    period = models.IntegerField()
    """Seconds: 60, 3,600 or 86,400."""
    start = InstantField()
    release = models.CharField(max_length=60, blank=True, default="", db_default="")
    """Of the worker of their last attempts; empty: it told none, or was not known any more."""
    count = models.IntegerField()

    class Meta:
        ordering = ("-start",)
        constraints = [
            # The trend of one group.
            models.UniqueConstraint(
                fields=["group", "period", "start", "release"], name="openqueue_errorcount_of"
            ),
        ]
        indexes = [
            # What a minute is counted anew from; retention.
            models.Index(fields=["period", "start"], name="openqueue_errorcount_start"),
        ]

    def __str__(self) -> str:
        return f"{self.count} since {self.start}"
