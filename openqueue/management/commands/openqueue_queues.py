"""Look at queues; pause, resume, disable, enable, drain, clear and move them."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import queue_acts, queue_doors, queues
from openqueue.control.queues import ListedQueue
from openqueue.errors import OpenQueueError
from openqueue.management import arguments
from openqueue.management.tables import as_json, plain, span, table

LOOK: Final = 0.5
"""Seconds between looks at a queue that is waited for."""


class Command(BaseCommand):
    """``manage.py openqueue_queues list|pause|resume|disable|enable|drain|clear|move``."""

    help = "Lists queues; pauses, disables, drains and clears them, and moves one to another runtime."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(
            dest="act",
            required=True,
            metavar="list | pause | resume | disable | enable | drain | clear | move",
        )
        listing = acts.add_parser(
            "list", help="Every queue: what waits, what runs, since when, who serves it."
        )
        listing.add_argument("name", nargs="*", help="Only these.")
        pause = acts.add_parser("pause", help="Start nothing of these queues until they are resumed.")
        pause.add_argument("name", nargs="+")
        pause.add_argument("--wait", action="store_true", help="Then wait until nothing of them runs.")
        resume = acts.add_parser("resume", help="Go on with paused queues.")
        resume.add_argument("name", nargs="+")
        disable = acts.add_parser(
            "disable",
            help="Start nothing of these queues, and hold, reject or skip what is triggered into them.",
        )
        disable.add_argument("name", nargs="+")
        disable.add_argument(
            "--behaviour",
            choices=queue_doors.BEHAVIOURS,
            default=queue_doors.HOLD,
            help="What becomes of runs that are triggered: they wait (default), the trigger raises QueueClosed, or "
            "they are recorded as cancelled and never run.",
        )
        enable = acts.add_parser("enable", help="Open queues that are disabled or drained.")
        enable.add_argument("name", nargs="+")
        drain = acts.add_parser("drain", help="Wait until nothing of these queues is due or runs.")
        drain.add_argument("name", nargs="+")
        drain.add_argument(
            "--close",
            choices=[queue_doors.REJECT, queue_doors.SKIP],
            help="First take nothing new into them, until they are enabled: reject it, or skip it.",
        )
        for act in (pause, drain):
            act.add_argument(
                "--timeout",
                type=arguments.duration,
                help="Wait so long at most: 90, 10m. Exit code 1 after it.",
            )
        clear = acts.add_parser("clear", help="Cancel all that waits in a queue, delayed runs too.")
        clear.add_argument("name")
        clear.add_argument("--yes", action="store_true", help="Do not ask.")
        move = acts.add_parser("move", help="Move what waits in a queue to another runtime.")
        move.add_argument("name")
        move.add_argument("--to", required=True, metavar="ALIAS", help="A runtime of the settings.")
        for act in (pause, resume, disable, enable, drain, clear, move):
            act.add_argument("--reason", default="", help="Why, for the record.")
            arguments.add_actor(act)
        for act in acts.choices.values():
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"{options['act']}_queues")(options)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def list_queues(self, options: dict[str, Any]) -> None:
        lines = queues.listing(options["name"])
        if options["json"]:
            self.stdout.write(as_json({"queues": lines}))
            return
        headers = [
            "QUEUE", "RUNTIME", "STATE", "DUE", "LATER", "WAITING", "RUNNING", "AT BROKER", "OLDEST DUE", "WORKERS",
        ]  # fmt: skip
        rows = [
            [
                q.name,
                q.runtime,
                state(q),
                q.due,
                q.later,
                q.waiting,
                q.running,
                q.at_broker,
                span(q.oldest_due),
                q.workers,
            ]
            for q in lines
        ]
        self.stdout.write(table(headers, rows) if rows else "No such queue.")

    def pause_queues(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        answers = queue_acts.pause(options["name"], actor=actor, reason=options["reason"])
        self.answer(answers, options)
        if options["wait"]:
            self.wait(options, until=lambda left: not left.running)

    def resume_queues(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        answers = queue_acts.resume(options["name"], actor=actor, reason=options["reason"])
        self.answer(answers, options)

    def disable_queues(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        behaviour, reason = options["behaviour"], options["reason"]
        self.answer(
            queue_doors.disable(options["name"], behaviour=behaviour, actor=actor, reason=reason), options
        )

    def enable_queues(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        self.answer(queue_doors.enable(options["name"], actor=actor, reason=options["reason"]), options)

    def answer(self, answers: Mapping[str, str], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(
                as_json([{"queue": queue, "answer": answer} for queue, answer in answers.items()])
            )
        else:
            self.stdout.write(table(["QUEUE", "ANSWER"], answers.items()))
        for queue, meant in queue_acts.unknown(list(answers)).items():
            perhaps = f" Did you mean {' or '.join(meant)}?" if meant else ""
            self.stderr.write(
                f"Nothing names a queue {queue!r}, and it holds no runs; this stands for the day it does.{perhaps}"
            )

    def drain_queues(self, options: dict[str, Any]) -> None:
        queue_acts.checked(options["name"])
        if behaviour := options["close"]:
            actor = arguments.actor(options["actor"])
            queue_doors.drain(options["name"], behaviour=behaviour, actor=actor, reason=options["reason"])
        self.wait(options, until=lambda left: left.nothing)
        if options["json"]:
            left = {queue: queue_acts.left(queue) for queue in options["name"]}
            self.stdout.write(as_json([{"queue": queue, **_fields(some)} for queue, some in left.items()]))
        elif options["verbosity"]:
            self.stdout.write("Drained.")

    def wait(self, options: dict[str, Any], *, until: Any) -> None:
        """Look now and then until every queue is as wanted; tell how far it is."""
        ends_at = None if options["timeout"] is None else time.monotonic() + options["timeout"]
        told = ""
        while True:
            left = {queue: queue_acts.left(queue) for queue in options["name"]}
            waiting = {queue: some for queue, some in left.items() if not until(some)}
            if not waiting:
                return
            said = ", ".join(
                f"{queue}: {some.due} due, {some.running} running" for queue, some in waiting.items()
            )
            if said != told and options["verbosity"] and not options["json"]:
                self.stdout.write(said)
                self.stdout.flush()
            told = said
            if ends_at is not None and time.monotonic() >= ends_at:
                raise CommandError(
                    f"Still {said} after {span(options['timeout'])}. See who works: `openqueue_queues list`, and "
                    f"what runs: `openqueue_runs list --status running`."
                )
            time.sleep(LOOK if ends_at is None else max(0.0, min(LOOK, ends_at - time.monotonic())))

    def clear_queues(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        (queue,) = queue_acts.checked([options["name"]])
        if not options["yes"]:
            left = queue_acts.left(queue)
            self.confirm(f"Cancel {left.due} due and {left.later} later runs of queue {queue}? [y/N] ")

        def told(total: int) -> None:
            if options["verbosity"] and not options["json"]:
                self.stdout.write(f"{total} cancelled")

        total = queue_acts.clear(queue, actor=actor, reason=options["reason"], told=told)
        if options["json"]:
            self.stdout.write(as_json({"queue": queue, "cancelled": total}))
        elif not total:
            self.stdout.write("Nothing waited.")

    @staticmethod
    def confirm(question: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError("Nobody is there to ask. Say --yes to do it all the same.")
        if input(question).strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was done.")

    def move_queues(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        moved = queue_acts.move(options["name"], to=options["to"], actor=actor, reason=options["reason"])
        if options["json"]:
            self.stdout.write(as_json(moved))
        else:
            self.stdout.write(
                f"{moved.waiting} moved to {moved.runtime}; {moved.running} running, whose next attempt will be there."
            )
        if moved.setting != moved.runtime:
            self.stderr.write(
                f"New runs still go to {moved.setting!r}. Set OPENQUEUE['QUEUES'][{moved.queue!r}] = "
                f"{{'runtime': {moved.runtime!r}}} and deploy; then move again what came meanwhile."
            )


def state(queue: ListedQueue) -> str:
    closed = ""
    if queue.behaviour:
        what = "draining" if queue.draining else "disabled"
        since = f" {span(queue.closed_for)} ago" if queue.closed_for is not None else ""
        why = f": {queue.close_reason}" if queue.close_reason else ""
        closed = plain(f"{what} ({queue.behaviour}) by {queue.closed_by or 'somebody'}{since}{why}")
    if not queue.paused or (queue.behaviour and queue.paused_for is None):
        return closed or "open"
    since = f" {span(queue.paused_for)} ago" if queue.paused_for is not None else ""
    why = f": {queue.pause_reason}" if queue.pause_reason else ""
    paused = plain(f"paused by {queue.paused_by or 'somebody'}{since}{why}")
    return f"{paused}; {closed}" if closed else paused


def _fields(left: queue_acts.Left) -> dict[str, int]:
    return {"due": left.due, "running": left.running, "later": left.later}
