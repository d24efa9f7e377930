"""Look at workers; tell them to be quiet, to go on, to stop."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import worker_acts, workers
from openqueue.control.workers import ListedWorker, WorkerFacts
from openqueue.errors import OpenQueueError
from openqueue.management import arguments
from openqueue.management.tables import as_json, span, table

LOOK: Final = 0.2
"""Seconds between looks at workers that are waited for."""
ACTS: Final = {"quiet": worker_acts.quiet, "resume": worker_acts.resume, "stop": worker_acts.stop}


class Command(BaseCommand):
    """``manage.py openqueue_workers list|quiet|resume|stop``."""

    help = "Lists workers with what they run; tells them to claim nothing more, to go on, or to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="list | quiet | resume | stop")
        listing = acts.add_parser("list", help="Every worker that has not signed off, and what it runs.")
        listing.add_argument("--queue", help="Only those that serve it.")
        quiet = acts.add_parser("quiet", help="Claim nothing more; bodies that run go on to their end.")
        resume = acts.add_parser("resume", help="Have quiet workers claim again.")
        stop = acts.add_parser("stop", help="End as at SIGTERM: bodies get SHUTDOWN_GRACE. None is replaced.")
        for act in (quiet, resume, stop):
            act.add_argument(
                "name", nargs="*", help="Ids as listed, or the beginning of one, or host:pid. Else:"
            )
            act.add_argument("--queue", help="All that serve this queue.")
            act.add_argument("--host", help="All on this host; with --queue those of both.")
            act.add_argument("--all", action="store_true", help="All.")
            act.add_argument("--reason", default="", help="Why, for the record.")
            arguments.add_actor(act)
        for act in (quiet, stop):
            act.add_argument("--wait", action="store_true", help="Then wait until they run nothing.")
            act.add_argument(
                "--timeout",
                type=arguments.duration,
                help="Wait so long at most: 90, 10m. Exit code 1 after it.",
            )
        for act in acts.choices.values():
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["act"] == "list":
                self.list_workers(options)
            else:
                self.tell(options)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def list_workers(self, options: dict[str, Any]) -> None:
        queue = options["queue"]
        found = [worker for worker in workers.listing() if queue is None or queue in worker.queues]
        if options["json"]:
            self.stdout.write(as_json({"workers": found}))
            return
        headers = ["ID", "WORKER", "STATE", "BUSY", "HEARTBEAT", "LATE", "QUEUES", "RUNS"]
        rows = [
            [
                str(w.id)[:8],
                f"{w.host}:{w.pid}",
                state(w),
                f"{w.busy}/{w.slots}",
                f"{span(w.heartbeat_age)} ago",
                span(w.lag) if w.lag else None,
                w.queues,
                bodies(w),
            ]
            for w in found
        ]
        self.stdout.write(
            table(headers, rows) if rows else "No worker is there. Start one: `openqueue_worker`."
        )

    def tell(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        named = options["name"]
        if bool(named) == bool(options["queue"] or options["host"] or options["all"]):
            raise CommandError(
                "Name workers (`openqueue_workers list` shows them), or say which with --queue, --host or --all."
            )
        meant = worker_acts.chosen(
            named, queue=options["queue"], host=options["host"], everybody=options["all"]
        )
        answers = ACTS[options["act"]]([worker.id for worker in meant], actor=actor, reason=options["reason"])
        if options["json"]:
            self.stdout.write(
                as_json([{"worker": worker, "answer": answer} for worker, answer in answers.items()])
            )
        elif meant:
            rows = [[str(w.id)[:8], f"{w.host}:{w.pid}", answers[w.id]] for w in meant]
            self.stdout.write(table(["ID", "WORKER", "ANSWER"], rows))
        else:
            self.stdout.write("No such worker is there.")
        if named and worker_acts.GONE in answers.values():
            raise CommandError(
                "A worker that is gone hears nothing: its process has ended or was lost. What it held is given back."
            )
        if options.get("wait"):
            told = [worker for worker, answer in answers.items() if answer != worker_acts.GONE]
            self.wait(told, act=options["act"], timeout=options["timeout"])

    @staticmethod
    def wait(told: Sequence[UUID], *, act: str, timeout: float | None) -> None:
        """Look now and then until these hold no claims; until those that stop have gone."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        while True:
            there = [w for w in workers.listing() if w.id in told and w.state != workers.LOST]
            busy = [w for w in there if act == "stop" or w.claims or w.state == workers.RUNNING]
            if not busy:
                return
            if ends_at is not None and time.monotonic() >= ends_at:
                raise CommandError(
                    f"Still there after {span(timeout)}: {', '.join(f'{w.host}:{w.pid} ({w.state})' for w in busy)}. "
                    f"See what they run: `openqueue_workers list`."
                )
            time.sleep(LOOK if ends_at is None else max(0.0, min(LOOK, ends_at - time.monotonic())))


def state(worker: WorkerFacts) -> str:
    """Return its state, and what it has been told and not yet heard."""
    by = f" by {worker.command_by}" if worker.command_by and worker.command else ""
    if worker.command and worker.state == workers.RUNNING:
        return f"{worker.state}, told to {'be quiet' if worker.command == 'quiet' else worker.command}{by}"
    return f"{worker.state}{by}"


def bodies(worker: ListedWorker) -> str | None:
    """Return what it runs, on one line."""
    if not worker.bodies:
        return None
    first = ", ".join(f"{body.task_id} {span(body.seconds)}" for body in worker.bodies[:2])
    more = worker.claims - min(2, len(worker.bodies))
    return f"{first}, {more} more" if more > 0 else first
