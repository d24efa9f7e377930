"""Queues, limits, and the marks of the sweeps."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from openqueue.models import (
    DedupeKey,
    Limit,
    Permit,
    QueueState,
    RuntimeOffset,
    Sweep,
    TaskDefinition,
)
from openqueue_workbench.look_only import LookOnly, pretty


@admin.register(TaskDefinition)
class TaskDefinitionAdmin(LookOnly):
    """Tasks for workers in other languages."""

    list_display = ("task_id", "queue", "updated_at", "updated_by")
    ordering = ("task_id",)
    fields = ("task_id", "queue", "created_at", "updated_at", "updated_by", "shown_declaration")
    readonly_fields = ("shown_declaration",)

    @admin.display(description="declaration")
    def shown_declaration(self, definition: TaskDefinition) -> SafeString | str:
        """Show what its workers said of it."""
        return pretty(definition.declaration)


@admin.register(QueueState)
class QueueStateAdmin(LookOnly):
    """What operators decided about queues."""

    list_display = ("name", "paused", "paused_at", "paused_by", "pause_reason")
    ordering = ("name",)


@admin.register(DedupeKey)
class DedupeKeyAdmin(LookOnly):
    """Keys that runs have for themselves."""

    list_display = ("id", "scope", "key", "run_id", "until")
    run_column = "run_id"


@admin.register(Limit)
class LimitAdmin(LookOnly):
    """Limits of the whole fleet that somebody was let through."""

    list_display = ("key", "used_at")
    ordering = ("key",)


@admin.register(Permit)
class PermitAdmin(LookOnly):
    """Who was let through a limit."""

    list_display = ("id", "key", "run_id", "attempt", "given_at", "window", "forget_at")
    run_column = "run_id"


@admin.register(RuntimeOffset)
class RuntimeOffsetAdmin(LookOnly):
    """How far replays have come."""

    list_display = ("reader", "source", "position", "until", "started_at", "moved_at", "finished_at")


@admin.register(Sweep)
class SweepAdmin(LookOnly):
    """When each sweep last ran, anywhere."""

    list_display = ("name", "last_at", "last_count")
    ordering = ("name",)
