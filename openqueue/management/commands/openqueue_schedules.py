"""Look at schedules; pause and resume them, and make a run of one now."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import schedules
from openqueue.control.schedules import ScheduleFacts, Wanted
from openqueue.errors import OpenQueueError, UnclearSchedule
from openqueue.management import arguments
from openqueue.management.tables import as_json, fields, moment, span, table


class Command(BaseCommand):
    """``manage.py openqueue_schedules list|show|pause|resume|trigger``."""

    help = "Lists schedules and shows one with its history; pauses and resumes them; makes a run of one now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(
            dest="act", required=True, metavar="list | show | pause | resume | trigger"
        )
        listing = acts.add_parser(
            "list", help="Schedules with their next and last runs, in the order of their ids."
        )
        listing.add_argument("--task", help="Only of this task.")
        listing.add_argument("--status", choices=schedules.STATUSES, help="Only those that stand so.")
        listing.add_argument("--key", help="Only those whose key begins like this.")
        listing.add_argument(
            "--after", type=arguments.whole, default=0, help="The last id of the page before."
        )
        listing.add_argument("--limit", type=arguments.positive, default=50, help="How many; 200 at most.")
        show = acts.add_parser(
            "show", help="One schedule: its rule, its next moments, and what became of the last."
        )
        show.add_argument("id", type=arguments.positive)
        pause = acts.add_parser("pause", help="Make no runs of these until they are resumed.")
        resume = acts.add_parser("resume", help="Go on with paused schedules from now.")
        trigger = acts.add_parser("trigger", help="Make one run now; the schedule is unchanged.")
        for act in (pause, resume):
            act.add_argument("id", nargs="+", type=arguments.positive, help="As listed.")
        trigger.add_argument("id", type=arguments.positive, help="As listed.")
        for act in (pause, resume, trigger):
            act.add_argument("--reason", default="", help="Why, for the record.")
            arguments.add_actor(act)
        for act in acts.choices.values():
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["act"] != "list":
                self.known(options["id"] if isinstance(options["id"], list) else [options["id"]])
            getattr(self, f"{options['act']}_schedules")(options)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    @staticmethod
    def known(ids: Sequence[int]) -> None:
        if missing := schedules.missing(ids):
            raise UnclearSchedule(
                f"There is no schedule {missing[0]}. `openqueue_schedules list` shows them."
            )

    def list_schedules(self, options: dict[str, Any]) -> None:
        wanted = Wanted(
            task_id=options["task"],
            status=options["status"],
            key=options["key"],
            after=options["after"],
            limit=min(options["limit"], 200),
        )
        found = schedules.find(wanted)
        if options["json"]:
            self.stdout.write(as_json({"schedules": found}))
            return
        headers = ["ID", "TASK", "KEY", "RULE", "ZONE", "STATUS", "NEXT", "LAST RUN", "ERROR"]
        rows = [
            [
                one.id,
                one.task_id,
                one.key,
                rule(one),
                one.timezone,
                one.status,
                moment(one.next_at),
                moment(one.last_run_at),
                one.error,
            ]
            for one in found
        ]
        self.stdout.write(table(headers, rows) if rows else "No such schedule.")
        if len(found) == wanted.limit:
            self.stdout.write(f"There may be more: --after {found[-1].id}")

    def show_schedules(self, options: dict[str, Any]) -> None:
        one = schedules.read(options["id"])
        upcoming = schedules.upcoming(one.id)
        ticks = schedules.history(one.id)
        if options["json"]:
            self.stdout.write(as_json({"schedule": one, "upcoming": upcoming, "ticks": ticks}))
            return
        self.stdout.write(f"Schedule {one.id} of {one.task_id}")
        self.stdout.write(
            fields(
                [
                    ("key", one.key),
                    ("status", f"{one.status} by {one.paused_by}" if one.paused_by else one.status),
                    ("kind", one.kind),
                    ("rule", f"{rule(one)} in {one.timezone}"),
                    ("misfire", one.misfire),
                    ("overlap", one.overlap),
                    ("payload", as_json(one.payload) if one.payload else None),
                    ("error", one.error),
                    ("next", ", ".join(str(moment(at)) for at in upcoming)),
                ]
            )
        )
        if ticks:
            rows = [[moment(tick.tick), tick.outcome, tick.run_id, tick.reason] for tick in ticks]
            self.stdout.write("\n" + table(["MOMENT", "OUTCOME", "RUN", "REASON"], rows))

    def pause_schedules(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        self.answer(schedules.pause(options["id"], actor=actor, reason=options["reason"]), options)

    def resume_schedules(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        self.answer(schedules.resume(options["id"], actor=actor, reason=options["reason"]), options)

    def answer(self, answers: dict[int, str], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(as_json([{"schedule": one, "answer": said} for one, said in answers.items()]))
        else:
            self.stdout.write(table(["SCHEDULE", "ANSWER"], answers.items()))

    def trigger_schedules(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        run = schedules.trigger_now(options["id"], actor=actor, reason=options["reason"])
        self.stdout.write(as_json({"run": run.id}) if options["json"] else f"Run {run.id} was made.")


def rule(one: ScheduleFacts) -> str:
    """Return when it is due, as it was written."""
    return one.cron or f"every {span(one.every)}"
