"""Tell how everything stands."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import overview
from openqueue.control.overview import Overview
from openqueue.management.tables import as_json, plain, span, table


class Command(BaseCommand):
    """``manage.py openqueue_status``."""

    help = "Shows the health of database, runtimes, queues and workers. Exit code 0: healthy, 1: see the findings."
    requires_system_checks = []  # a probe asks every few seconds

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Everything, for scripts.")
        parser.add_argument("--check", action="store_true", help="The findings alone, for probes.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            seen = overview.read()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if options["json"] and options["check"]:
            self.stdout.write(as_json({"healthy": seen.healthy, "findings": seen.findings}))
        elif options["json"]:
            self.stdout.write(as_json(seen))
        else:
            self.stdout.write(
                "\n\n".join([*([] if options["check"] else self.parts(seen)), self.verdict(seen)])
            )
        if not seen.healthy:
            sys.exit(1)

    def parts(self, seen: Overview) -> list[str]:
        """Return one table a part; a part with nothing in it is left out."""
        carried = [
            [r.alias, "ok" if r.ok else "down", r.backend.rpartition(".")[2], r.detail] for r in seen.runtimes
        ]
        database = seen.database
        carried.insert(0, [database.alias, "ok" if database.ok else "down", database.vendor, database.detail])
        parts = [table(["DATABASE, RUNTIMES", "STATE", "KIND", "DETAIL"], carried)]
        if seen.queues:
            parts.append(self.queues(seen))
        if seen.workers:
            parts.append(self.workers(seen))
        if seen.finished_last_hour is not None:
            counts = [
                f"{count}{' or more' if count >= seen.counted_to else ''}"
                for count in seen.finished_last_hour.values()
            ]
            parts.append(
                table([f"{name.upper()}" for name in seen.finished_last_hour], [counts])
                + "   in the last hour"
            )
        if seen.sweeps:
            parts.append(table(["SWEEP", "LAST RUN"], [[s.name, f"{span(s.age)} ago"] for s in seen.sweeps]))
        return parts

    @staticmethod
    def queues(seen: Overview) -> str:
        rows = [
            [
                q.name,
                q.runtime,
                f"paused by {q.paused_by}" if q.paused else "open",
                q.due,
                q.later,
                q.running,
                span(q.oldest_due),
                span(q.oldest_unannounced),
                q.workers,
            ]
            for q in seen.queues
        ]
        headers = [
            "QUEUE",
            "RUNTIME",
            "STATE",
            "DUE",
            "LATER",
            "RUNNING",
            "OLDEST DUE",
            "UNANNOUNCED",
            "WORKERS",
        ]
        return table(headers, rows)

    @staticmethod
    def workers(seen: Overview) -> str:
        rows = [
            [
                f"{w.host}:{w.pid}",
                f"{w.state}, overloaded ({w.lag:.1f} s late)" if w.lag else w.state,
                f"{w.busy}/{w.slots}",
                w.claims,
                f"{span(w.heartbeat_age)} ago",
                w.queues,
            ]
            for w in seen.workers
        ]
        return table(["WORKER", "STATE", "BUSY", "CLAIMS", "HEARTBEAT", "QUEUES"], rows)

    def verdict(self, seen: Overview) -> str:
        if seen.healthy:
            return self.style.SUCCESS("Healthy.")
        lines = [f"{plain(f.subject)}: {plain(f.message)}\n  {plain(f.remedy)}" for f in seen.findings]
        return "\n".join([self.style.ERROR("Degraded."), *lines])
