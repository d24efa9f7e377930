"""The append-only history of runs."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField, JSONTextField
from openqueue.models.partial import PartialUnique
from openqueue.models.run import Run
from openqueue.states import Kind


class RunEvent(models.Model):
    """One line of a run's history. Appended with the change it tells of; only retention deletes it."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="events", db_constraint=False, db_index=False
    )
    version = models.IntegerField(null=True)
    """The run's version after this change; null for lines that changed no status."""
    attempt = models.IntegerField(default=0)
    kind = models.CharField(max_length=24, choices=[(k.value, k.value) for k in Kind])
    token = models.UUIDField(null=True)
    """The claim's token, on the event of a worker's own accepted settle and on its refused late result only."""
    actor = models.CharField(max_length=150, blank=True, default="")
    data = JSONTextField(null=True)
    at = InstantField()

    class Meta:
        ordering = ("id",)
        constraints = [
            # Timeline of one run; and no two changes can start from the same version.
            models.UniqueConstraint(fields=["run", "version"], name="openqueue_runevent_timeline"),
            # Was this settle accepted? Asked only when its fence missed.
            PartialUnique(fields=["run", "token"], name="openqueue_runevent_token"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.run_id}"
