"""Acts on all runs that a search finds."""

from __future__ import annotations

from django.db import models

from openqueue.ids import uuid7
from openqueue.models.fields import InstantField, JSONTextField


class BulkOperation(models.Model):
    """One act on many runs: what was asked, how far it has come, and what became of each run it came to.

    A batch of runs and this row change in one transaction, so that whoever goes on after a crash begins where it ended.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    act = models.CharField(max_length=20)
    arguments = JSONTextField()
    """What the act takes: {"priority": 9}."""
    search = models.TextField()
    """As it was understood."""
    queues = JSONTextField(null=True)
    """The only queues that the asker sees; null: all."""
    sees_payloads = models.BooleanField(default=False)
    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=500, blank=True, default="")
    asked_at = InstantField()
    """Runs triggered since then are not meant; nor does what ends later count as ended."""
    expected = models.IntegerField(null=True)
    """How many runs the search found when it was asked, as far as they were counted."""
    or_more = models.BooleanField(default=False)
    position = JSONTextField(null=True)
    """The place behind which it goes on."""
    looked_at = models.BigIntegerField(default=0)
    acted = models.BigIntegerField(default=0)
    skipped = JSONTextField()
    """How many were left as they are, by the reason."""
    run_id = models.UUIDField(null=True)
    """The run of OpenQueue's own that does it; null: whoever asked did."""
    stopped_by = models.CharField(max_length=150, blank=True, default="")
    """Who had it end before it was through."""
    moved_at = InstantField()
    finished_at = InstantField(null=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.act} {self.search}"
