"""Which keys are taken, and by which run."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class DedupeKey(models.Model):
    """One key that a run has taken. Written with the run; whether it still stands is told by the run itself.

    So its deletion, when the run ends, is only tidiness: a row that somebody has locked at that moment may stay, and
    is taken over by the next trigger (docs: decisions/0030).
    """

    id = models.UUIDField(primary_key=True, editable=False)
    """A digest of scope and key: of one length, and told apart by every collation."""
    scope = models.CharField(max_length=210)
    """Among which runs it is unique: ``task:<id>``, ``queue:<name>`` or ``all``."""
    key = models.CharField(max_length=200)
    run_id = models.UUIDField()
    until = InstantField()
    """When its window ends; without one the moment of the trigger."""

    class Meta:
        indexes = [
            # The end of runs: which keys they have.
            models.Index(fields=["run_id"], name="openqueue_dedupekey_run"),
            # Retention: windows that are over.
            models.Index(fields=["until"], name="openqueue_dedupekey_until"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"
