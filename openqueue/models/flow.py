"""Graphs of runs: a flow, its nodes, and who waits for whom."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from openqueue.ids import uuid7
from openqueue.models.fields import InstantField, JSONTextField
from openqueue.models.partial import PartialIndex
from openqueue.models.run import Run
from openqueue.states import FINAL, FlowStatus, Policy, Status


class Flow(models.Model):
    """A graph of runs that was triggered as one, and how it stands. It keeps the shape it was triggered with.

    Whoever lets nodes go or ends waiting ones holds this row's lock, so that the counts are never a guess.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    policy = models.CharField(max_length=8, choices=[(p.value, p.value) for p in Policy])
    """What becomes of a node when one that it waits for does not complete, unless the node says otherwise."""
    status = models.CharField(max_length=12, choices=[(s.value, s.value) for s in FlowStatus])
    total = models.IntegerField(default=0)
    waiting = models.IntegerField(default=0)
    """Nodes that wait for others."""
    active = models.IntegerField(default=0)
    """Nodes that were let go and have not ended: due, delayed, running, between two attempts."""
    completed = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    """Nodes that ended otherwise than completed."""
    callbacks = JSONTextField(null=True)
    """The calls that become runs when the flow has ended, by the end that they are for."""
    created_at = InstantField()
    checked_at = InstantField()
    """When the sweep last looked at it."""
    cancelled_at = InstantField(null=True)
    finished_at = InstantField(null=True)

    class Meta:
        ordering = ("-id",)
        permissions = [("cancel_flow", "Can cancel flows"), ("retry_flow", "Can retry flows")]
        indexes = [
            # The sweep: unfinished flows, the one longest not looked at first.
            PartialIndex(
                fields=["checked_at"],
                name="openqueue_flow_unfinished",
                where=Q(finished_at__isnull=True),
                ahead=("finished_at",),
            ),
            # Retention, and lists of one status.
            models.Index(fields=["status", "finished_at"], name="openqueue_flow_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def is_final(self) -> bool:
        """Tell whether all its nodes have ended."""
        return self.finished_at is not None


class FlowNode(models.Model):
    """One run's place in a flow. While it is ``waiting`` the run is here and in no outbox."""

    run = models.OneToOneField(
        Run, on_delete=models.DO_NOTHING, primary_key=True, related_name="flow_node", db_constraint=False
    )
    flow = models.ForeignKey(
        Flow, on_delete=models.DO_NOTHING, related_name="nodes", db_constraint=False, db_index=False
    )
    name = models.CharField(max_length=200)
    number = models.IntegerField()
    """Its place in the order in which the nodes were named."""
    waiting = models.BooleanField()
    remaining = models.IntegerField(default=0)
    """How many of the nodes before it keep it waiting."""
    blocked = models.IntegerField(default=0)
    """How many of these have ended without completing, so that it waits for an operator."""
    outcome = models.CharField(  # noqa: DJ001  # null: not ended
        max_length=12, null=True, choices=[(s.value, s.value) for s in Status if s in FINAL]
    )
    added_by = models.UUIDField(null=True)
    """The run that added it while the flow ran."""
    delay = models.FloatField(default=0.0)
    """Seconds from its release to its due time."""
    run_at = InstantField(null=True)
    ttl = models.FloatField(null=True)
    """Seconds from its due time to its first start."""
    released_at = InstantField(null=True)

    class Meta:
        ordering = ("number",)
        indexes = [
            # The sweep: nodes that wait although nothing keeps them. There are none.
            PartialIndex(
                fields=["flow"],
                name="openqueue_flownode_forgotten",
                where=Q(waiting=True, remaining=0),
                ahead=("waiting", "remaining"),
            )
        ]
        constraints = [
            # ctx.flow.result("validate"): a node by its name.
            models.UniqueConstraint(fields=["flow", "name"], name="openqueue_flownode_name"),
            # The nodes of one flow, in the order in which they were added.
            models.UniqueConstraint(fields=["flow", "number"], name="openqueue_flownode_number"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.run_id}"


class FlowEdge(models.Model):
    """One node waits for another, and what becomes of it when that one does not complete."""

    id = models.BigAutoField(primary_key=True)
    parent = models.ForeignKey(
        FlowNode, on_delete=models.DO_NOTHING, related_name="below", db_constraint=False, db_index=False
    )
    child = models.ForeignKey(
        FlowNode, on_delete=models.DO_NOTHING, related_name="above", db_constraint=False, db_index=False
    )
    policy = models.CharField(max_length=8, choices=[(p.value, p.value) for p in Policy])

    class Meta:
        indexes = [
            # What one node waits for: counted anew, and read by its body.
            models.Index(fields=["child"], name="openqueue_flowedge_child"),
        ]
        constraints = [
            # Who waits for a node that has ended.
            models.UniqueConstraint(fields=["parent", "child"], name="openqueue_flowedge_pair"),
        ]

    def __str__(self) -> str:
        return f"{self.parent_id} -> {self.child_id}"
