"""Replay past runs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import queue_acts, replay, run_ids
from openqueue.control.replay.pace import Pace
from openqueue.control.replay.report import Report
from openqueue.control.replay.wanted import STATUSES, Stretch, Wanted
from openqueue.errors import OpenQueueError
from openqueue.management import arguments, progress
from openqueue.management.stopping import on_stop
from openqueue.management.tables import as_json, moment, plain, table


class Command(BaseCommand):
    """``manage.py openqueue_replay``."""

    help = (
        "Makes new runs from a window of past ones. Without --execute it says what it would make, and why some are "
        "left out. Interrupted, it goes on when the same is asked for again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_argument_group("which past runs: all conditions together")
        which.add_argument("--task", action="append", default=[], help="A task's id. Once for each.")
        which.add_argument("--queue", action="append", default=[], help="Once for each.")
        which.add_argument(
            "--status",
            action="append",
            default=[],
            choices=STATUSES,
            help="How they ended, once for each. Default: completed and failed.",
        )
        which.add_argument(
            "--since", type=arguments.since, help="Created since: 10m, 2h, 1d, or 2027-03-01T09:00."
        )
        which.add_argument("--until", type=arguments.since, help="Created before. Default: now.")
        which.add_argument("--id", nargs="+", default=[], help="Ids, or at least their first 8 characters.")
        which.add_argument("--again", action="store_true", help="Also runs that were replayed before.")
        log = parser.add_argument_group(
            "or by the messages that a broker keeps: Kafka; --since and --until are of these"
        )
        log.add_argument("--runtime", metavar="ALIAS", help="The runtime. With one --queue.")
        log.add_argument("--partition", type=arguments.whole, help="One partition. Default: all.")
        log.add_argument("--from-offset", type=arguments.whole, help="Of the partition. Default: the oldest.")
        log.add_argument(
            "--to-offset", type=arguments.whole, help="The first one not to read. Default: the end."
        )
        what = parser.add_argument_group("what to do")
        what.add_argument("--execute", action="store_true", help="Do it. Without this nothing is written.")
        what.add_argument(
            "--accept-side-effects",
            metavar="WHY",
            help="Why mails, payments and the like may happen again, for the record. --execute needs it.",
        )
        what.add_argument("--rate", type=arguments.rate, help="At most so many new runs: 50/s, 600/m, 100/h.")
        what.add_argument("--to-queue", help="Put them into this queue. Default: that of each past run.")
        what.add_argument(
            "--anew",
            action="store_true",
            help="Begin at the beginning, and leave an interrupted one where it is.",
        )
        parser.add_argument("--json", action="store_true", help="For scripts.")
        arguments.add_actor(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        reason = (options["accept_side_effects"] or "").strip()
        if options["execute"] and not reason:
            raise CommandError(
                "A replay does again what its tasks did: mails are sent and cards are charged once more. Say why "
                'that is right: --accept-side-effects "none of the mails went out". It is put on record.'
            )
        try:
            report = self.replay(options, reason=reason)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        progress.show(self.stderr, "", 1)
        self.stdout.write(as_json(report) if options["json"] else "\n".join(self.described(report)))
        if options["execute"] and not report.finished:
            sys.exit(1)

    def replay(self, options: dict[str, Any], *, reason: str) -> Report:
        stretch = self.stretch(options)
        wanted = Wanted(
            stretch=stretch,
            tasks=options["task"],
            queues=() if stretch else options["queue"],
            statuses=options["status"],
            since=options["since"],
            until=options["until"],
            ids=run_ids.resolve(options["id"]),
            again=options["again"],
            to_queue=options["to_queue"],
        )
        if wanted.to_queue is not None:
            queue_acts.checked([wanted.to_queue])
        if wanted.names_nothing:
            raise CommandError("Say which runs: --task, --queue, --status, --since, --until or --id.")
        actor = arguments.actor(options["actor"])
        if not options["execute"]:
            return replay.rehearse(wanted, told=self.told)
        if options["anew"]:
            replay.leave_off(wanted, actor=actor)
        pace = Pace(options["rate"])
        with on_stop(pace.stop):
            return replay.execute(wanted, actor=actor, reason=reason, pace=pace, told=self.told)

    @staticmethod
    def stretch(options: dict[str, Any]) -> Stretch | None:
        """Read which messages are meant, if they are."""
        offsets = {name: options[name] for name in ("from_offset", "to_offset") if options[name] is not None}
        if options["runtime"] is None:
            if offsets or options["partition"] is not None:
                raise CommandError("--partition and offsets are of a broker's log: name it with --runtime.")
            return None
        if len(options["queue"]) != 1 or options["id"]:
            raise CommandError("--runtime goes with exactly one --queue, and with no --id.")
        if offsets and options["partition"] is None:
            raise CommandError("Offsets count within a partition: name it with --partition.")
        return Stretch(
            runtime=options["runtime"],
            queue=options["queue"][0],
            partition=options["partition"],
            first=options["from_offset"],
            until=options["to_offset"],
        )

    def told(self, share: float, count: int) -> None:
        progress.show(self.stderr, f"{count} runs", share)

    @staticmethod
    def described(report: Report) -> list[str]:
        """Return the report for people."""
        lines = []
        if report.continued is not None:
            lines.append(
                f"This was begun at {moment(report.continued)} and interrupted; counts are of all of it."
            )
        verb = "would be made" if report.dry_run else "made"
        lines.append(f"{report.count} new runs {verb}.")
        if report.by_task:
            lines.append(table(["TASK", "RUNS"], report.by_task.items()))
        if report.secrets:
            lines.append(f"{report.secrets} of them have secret arguments, encrypted anew.")
        if report.left:
            lines.append(
                table(
                    ["LEFT OUT", "RUNS", "WHAT TO DO"], [[o.reason, o.count, o.remedy] for o in report.left]
                )
            )
            lines += [
                f"  {o.reason}: {run}{' ' if detail else ''}{plain(detail)}"
                for o in report.left
                for run, detail in o.examples
            ]
        if report.dry_run:
            lines.append("Nothing was written. --execute does it.")
        elif not report.finished:
            lines.append("Stopped. The same command goes on here.")
        return lines
