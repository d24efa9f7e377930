"""Plain lists of what OpenQueue remembers, to look at and nothing else."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from openqueue.control import run_facts, runs
from openqueue.models import (
    AuditLog,
    Claim,
    DeadLetter,
    Outbox,
    QueueState,
    Run,
    RunEvent,
    RunLog,
    Sweep,
    Worker,
)
from openqueue_workbench.look_only import LookOnly, after, pretty


@admin.register(Run)
class RunAdmin(LookOnly):
    """Runs, newest first; one run with its arguments, outcome, timeline and log."""

    list_display = (
        "id",
        "task_id",
        "queue",
        "shown_status",
        "reason",
        "attempt",
        "created_at",
        "finished_at",
    )
    heavy = run_facts.HEAVY
    run_column = "pk"
    fieldsets = (
        (None, {"fields": ("id", "task_id", "queue", "runtime", "shown_status", "reason", "priority")}),
        ("Attempts", {"fields": ("attempt", "max_attempts", "crash_count", "cycle", "worker_id")}),
        ("Times", {"fields": ("created_at", "scheduled_for", "expires_at", "started_at", "finished_at")}),
        ("Data", {"fields": ("arguments", "shown_result", "shown_error", "shown_meta", "shown_tags")}),
        ("History", {"fields": ("timeline", "log")}),
    )
    readonly_fields = (
        "shown_status", "arguments", "shown_result", "shown_error", "shown_meta", "shown_tags", "timeline", "log",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Read runs with their places, which tell their status."""
        return super().get_queryset(request).select_related(*run_facts.PLACES)

    @admin.display(description="status")
    def shown_status(self, run: Run) -> str:
        """Show the status that a reader sees."""
        return run_facts.status_of(run)

    @admin.display
    def arguments(self, run: Run) -> SafeString | str:
        """Show the arguments, secret ones masked."""
        return pretty(run_facts.shown_payload(run))

    @admin.display(description="result")
    def shown_result(self, run: Run) -> SafeString | str:
        """Show the result."""
        return pretty(run.result)

    @admin.display(description="error")
    def shown_error(self, run: Run) -> SafeString | str:
        """Show the error, its traceback line by line."""
        if not run.error:
            return "-"
        head, trace = f"{run.error.get('type')}: {run.error.get('message')}", run.error.get("traceback") or ""
        return format_html("<pre>{}\n{}</pre>", head, trace)

    @admin.display(description="meta")
    def shown_meta(self, run: Run) -> SafeString | str:
        """Show what the trigger attached."""
        return pretty(run.meta)

    @admin.display(description="tags")
    def shown_tags(self, run: Run) -> str:
        """Show the tags."""
        return ", ".join(run.tags or []) or "-"

    @admin.display
    def timeline(self, run: Run) -> SafeString | str:
        """Show what happened, oldest first, the newest lines if there are very many."""
        lines, _ = runs.timeline(run)
        return format_html(
            "<table><tbody>{}</tbody></table>",
            format_html_join(
                "",
                "<tr><td>{}</td><td>#{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                (
                    (
                        after(e.after),
                        e.attempt,
                        e.kind,
                        f"by {e.actor}" if e.actor else "",
                        pretty(e.data) if e.data else "",
                    )
                    for e in lines
                ),
            ),
        )

    @admin.display
    def log(self, run: Run) -> SafeString | str:
        """Show what the run's code logged."""
        lines, _ = runs.logs(run)
        text = format_html_join("\n", "{} #{} {}", ((after(e.after), e.attempt, e.text) for e in lines))
        return format_html("<pre>{}</pre>", text) if lines else "-"


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


@admin.register(Outbox)
class OutboxAdmin(LookOnly):
    """Runs that wait: due now, delayed, or for their next attempt."""

    list_display = (
        "__str__",
        "run_link",
        "task_id",
        "runtime",
        "queue",
        "priority",
        "due_at",
        "ready",
        "tries",
    )
    fields = (
        "run_link", "seq", "attempt", "task_id", "runtime", "queue", "priority", "due_at", "ready", "expires_at",
        "announce_at", "announced_at", "broker_ref", "tries", "last_error",
    )  # fmt: skip
    readonly_fields = ("run_link",)
    run_column = "run_id"


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


@admin.register(Worker)
class WorkerAdmin(LookOnly):
    """Worker processes and their leases."""

    list_display = ("__str__", "state", "busy", "slots", "started_at", "lease_until", "version")
    ordering = ("-started_at",)


@admin.register(QueueState)
class QueueStateAdmin(LookOnly):
    """What operators decided about queues."""

    list_display = ("name", "paused", "paused_at", "paused_by", "pause_reason")
    ordering = ("name",)


@admin.register(DeadLetter)
class DeadLetterAdmin(LookOnly):
    """Messages that could not become a run."""

    list_display = ("id", "at", "runtime", "queue", "reason", "size", "sha256")


@admin.register(Sweep)
class SweepAdmin(LookOnly):
    """When each sweep last ran, anywhere."""

    list_display = ("name", "last_at", "last_count")
    ordering = ("name",)


@admin.register(AuditLog)
class AuditLogAdmin(LookOnly):
    """What operators did."""

    list_display = ("id", "at", "actor", "act", "object", "reason")
