"""What was counted: roll-ups, and failures."""

from __future__ import annotations

from django.contrib import admin

from openqueue.models import ErrorCount, QueueDepth, Release, Rollup, RollupMark
from openqueue_workbench.look_only import LookOnly


@admin.register(Rollup)
class RollupAdmin(LookOnly):
    """How runs ended, by minute, hour and day."""

    list_display = ("start", "period", "task_id", "queue", "completed", "failed", "cancelled", "expired")


@admin.register(RollupMark)
class RollupMarkAdmin(LookOnly):
    """Up to when was counted."""

    list_display = ("name", "until", "sure_until")


@admin.register(ErrorCount)
class ErrorCountAdmin(LookOnly):
    """How often, by minute, hour and day."""

    list_display = ("start", "period", "group", "count")
    list_select_related = ("group",)


@admin.register(QueueDepth)
class QueueDepthAdmin(LookOnly):
    """How much stood in each queue, by minute and hour."""

    list_display = ("start", "period", "queue", "ready", "held", "delayed", "running", "oldest")


@admin.register(Release)
class ReleaseAdmin(LookOnly):
    """Releases of the project, since a worker first told them."""

    list_display = ("name", "first_seen")
