"""What became of the ticks of schedules."""

from __future__ import annotations

from django.contrib import admin

from openqueue.models import ScheduleTick
from openqueue_workbench.look_only import LookOnly


@admin.register(ScheduleTick)
class ScheduleTickAdmin(LookOnly):
    """The moments at which schedules were due, newest first."""

    list_display = ("id", "schedule_id", "tick", "until", "outcome", "run_id", "reason", "at")
    fields = ("schedule_id", "tick", "until", "outcome", "run_id", "reason", "at")
    readonly_fields = ("schedule_id",)
    run_column = "run_id"
