"""What is due, now or later: the small hot table, and the queue of the database runtime."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from openqueue.models.fields import InstantField
from openqueue.models.partial import PartialIndex
from openqueue.models.run import Run


class Outbox(models.Model):
    """One run that waits to be claimed. Inserted with the run, deleted by the claim."""

    run = models.OneToOneField(
        Run, on_delete=models.DO_NOTHING, primary_key=True, related_name="outbox", db_constraint=False
    )
    seq = models.IntegerField()
    attempt = models.IntegerField()
    """The number the next attempt will have."""
    task_id = models.CharField(max_length=200)
    runtime = models.CharField(max_length=63)
    queue = models.CharField(max_length=63)
    priority = models.SmallIntegerField()
    due_at = InstantField()
    ready = models.BooleanField()
    """Set at insert when due, else by the sweep of rows falling due; the hot indexes hold ready rows only."""
    expires_at = InstantField(null=True)
    concurrency_key = models.CharField(max_length=220, null=True)  # noqa: DJ001  # null: not limited
    ordering_key = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: in no order
    waits_for = models.CharField(max_length=220, null=True)  # noqa: DJ001  # null: for no permit
    """The limit that has to let it through before it may become ready: of its ordering key first, then of its
    concurrency key (decisions/0031)."""
    turn = models.SmallIntegerField(null=True)
    """Lower comes first among those that wait for the same: minus the priority; 0 in an order."""
    announce_at = InstantField()
    announced_at = InstantField(null=True)
    broker_ref = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: the broker told none
    tries = models.IntegerField(default=0)
    """Grows with every lease and every put-back: a mark that names another is too late."""
    heard = models.IntegerField(default=0, db_default=0)
    """What `tries` was when a worker last put the row back though nothing was wrong with it: back-offs, and giving up,
    go by how often it was tried since (decisions/0042)."""
    last_error = models.CharField(max_length=500, null=True)  # noqa: DJ001  # null: no error

    class Meta:
        verbose_name_plural = "outbox"
        permissions = [("flush_outbox", "Can have waiting runs announced at once")]
        indexes = [
            # Claim of due rows: one branch a queue, highest priority first, then due time.
            PartialIndex(
                fields=["runtime", "queue", "-priority", "due_at"],
                name="openqueue_outbox_due",
                where=Q(ready=True),
                ahead=("ready",),
            ),
            # Sweep of rows falling due.
            PartialIndex(
                fields=["due_at"],
                name="openqueue_outbox_later",
                where=Q(ready=False, waits_for__isnull=True),
                ahead=("ready", "waits_for"),
            ),
            # Who is next at a limit.
            PartialIndex(
                fields=["waits_for", "turn", "due_at", "run_id"],
                name="openqueue_outbox_waits",
                where=Q(waits_for__isnull=False),
            ),
            # Sweep of rows whose time to live ended.
            PartialIndex(
                fields=["expires_at"], name="openqueue_outbox_expires", where=Q(expires_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.run_id} #{self.seq}"
