"""The nodes and edges of flows."""

from __future__ import annotations

from django.contrib import admin

from openqueue.models import FlowEdge, FlowNode
from openqueue_workbench.look_only import LookOnly


@admin.register(FlowNode)
class FlowNodeAdmin(LookOnly):
    """Places of runs in flows: what waits is here."""

    list_display = (
        "__str__",
        "run_link",
        "flow_id",
        "waiting",
        "remaining",
        "blocked",
        "outcome",
        "released_at",
    )
    fields = (
        "run_link", "flow_id", "name", "number", "waiting", "remaining", "blocked", "outcome", "added_by", "delay",
        "run_at", "ttl", "released_at",
    )  # fmt: skip
    readonly_fields = ("run_link", "flow_id")
    run_column = "run_id"


@admin.register(FlowEdge)
class FlowEdgeAdmin(LookOnly):
    """Which node waits for which."""

    list_display = ("id", "parent_id", "child_id", "policy")
    fields = ("parent_id", "child_id", "policy")
    readonly_fields = ("parent_id", "child_id")
