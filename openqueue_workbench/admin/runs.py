"""What is on record about runs, row by row."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from openqueue.models import Claim, RunEvent, RunLog
from openqueue_workbench.look_only import LookOnly, pretty


@admin.register(RunEvent)
class RunEventAdmin(LookOnly):
    """The history of all runs, newest first."""

    list_display = ("id", "at", "kind", "run_link", "attempt", "version", "actor")
    fields = ("at", "kind", "run_link", "attempt", "version", "token", "actor", "shown_data")
    readonly_fields = ("run_link", "shown_data")
    heavy = ("data",)
    run_column = "run_id"

    @admin.display(description="data")
    def shown_data(self, event: RunEvent) -> SafeString | str:
        """Show the facts of the change."""
        return pretty(event.data)


@admin.register(RunLog)
class RunLogAdmin(LookOnly):
    """What runs logged, newest first."""

    list_display = ("id", "at", "run_link", "attempt", "level", "beginning")
    fields = ("at", "run_link", "attempt", "level", "text")
    readonly_fields = ("run_link",)
    run_column = "run_id"

    @admin.display(description="text")
    def beginning(self, line: RunLog) -> str:
        """Show the beginning of the line."""
        return line.text[:200]


@admin.register(Claim)
class ClaimAdmin(LookOnly):
    """Runs that a worker holds."""

    list_display = (
        "__str__",
        "run_link",
        "task_id",
        "queue",
        "attempt",
        "worker_id",
        "claimed_at",
        "cancel_requested_at",
    )
    fields = (
        "run_link", "seq", "attempt", "task_id", "queue", "worker_id", "token", "claimed_at", "cancel_requested_at",
        "cancel_requested_by", "expires_at",
    )  # fmt: skip
    readonly_fields = ("run_link",)
    run_column = "run_id"
