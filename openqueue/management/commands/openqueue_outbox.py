"""Look at what waits to be announced; have it announced now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.conf import config
from openqueue.control import outbox, run_ids
from openqueue.control.outbox import OutboxCounts
from openqueue.errors import OpenQueueError
from openqueue.management import arguments
from openqueue.management.tables import as_json, span, table


class Command(BaseCommand):
    """``manage.py openqueue_outbox list|flush``."""

    help = "Lists runs that wait to be claimed, with what became of announcing them; has them announced now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="list | flush")
        listing = acts.add_parser("list", help="What waits, oldest first, and how each runtime stands.")
        listing.add_argument("--state", choices=outbox.STATES, help="Only these.")
        listing.add_argument("--after", type=UUID, help="The last run of the page before.")
        listing.add_argument(
            "--limit", type=arguments.positive, default=outbox.USUAL, help="Rows; 200 at most."
        )
        flush = acts.add_parser("flush", help="Announce due runs at once, and not at their next try.")
        flush.add_argument("run", nargs="*", help="Only these runs: ids, or the beginning of one.")
        flush.add_argument(
            "--announced",
            action="store_true",
            help="Those too that were announced, where the broker lost them.",
        )
        flush.add_argument("--reason", default="", help="Why, for the record.")
        arguments.add_actor(flush)
        for act in acts.choices.values():
            act.add_argument("--queue", help="Only of this queue.")
            act.add_argument("--runtime", help="Only of this runtime.")
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            alias = options["runtime"]
            if alias is not None and alias not in config.runtimes:
                raise CommandError(f"--runtime {alias!r} is not one of: {', '.join(config.runtimes)}.")
            getattr(self, f"{options['act']}_rows")(options)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def list_rows(self, options: dict[str, Any]) -> None:
        page = outbox.find(
            state=options["state"],
            queue=options["queue"],
            runtime=options["runtime"],
            after=options["after"],
            limit=options["limit"],
        )
        counts = outbox.counts()
        if options["json"]:
            self.stdout.write(as_json({"runtimes": counts, "rows": page.rows, "next": page.next}))
            return
        if counts:
            self.stdout.write(self.runtimes(counts) + "\n")
        if page.stopped:
            raise CommandError(
                f"Stopped after {span(outbox.LIMIT.total_seconds())}. Name a queue, or leave out --state."
            )
        headers = ["RUN", "TASK", "QUEUE", "RUNTIME", "STATE", "AGE", "TRIES", "NEXT TRY", "ERROR"]
        rows = [
            [
                str(row.run_id),
                row.task_id,
                row.queue,
                row.runtime,
                row.state,
                span(row.age),
                row.tries,
                span(row.next_try),
                row.last_error,
            ]
            for row in page.rows
        ]
        self.stdout.write(table(headers, rows) if rows else "Nothing waits.")
        if page.next:
            self.stdout.write(f"There are more: --after {page.next}")

    @staticmethod
    def runtimes(counts: list[OutboxCounts]) -> str:
        def shown(count: int, most: int) -> str:
            return f"{most} or more" if count >= most else str(count)

        rows = [
            [
                one.runtime,
                *(
                    shown(count, one.counted_to)
                    for count in (one.pending, one.failed, one.announced, one.later)
                ),
                span(one.oldest_pending),
            ]
            for one in counts
        ]
        return table(["RUNTIME", "PENDING", "FAILED", "ANNOUNCED", "LATER", "OLDEST PENDING"], rows)

    def flush_rows(self, options: dict[str, Any]) -> None:
        flushed = outbox.flush(
            runs=run_ids.resolve(options["run"]),
            queue=options["queue"],
            runtime=options["runtime"],
            announced=options["announced"],
            actor=arguments.actor(options["actor"]),
            reason=options["reason"],
        )
        if options["json"]:
            self.stdout.write(as_json({"flushed": flushed}))
        else:
            self.stdout.write(
                f"{flushed} are announced at once." if flushed else "Nothing waited for another try."
            )
