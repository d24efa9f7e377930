"""Look at runs and act on them."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import bulk_acts, run_acts, run_ids, run_list, runs, verbs
from openqueue.control.callers import Caller
from openqueue.control.run_facts import RunDetail, TimelineEntry
from openqueue.control.search.pages import LIMIT
from openqueue.errors import OpenQueueError
from openqueue.management import arguments, bulk
from openqueue.management.tables import as_json, compact, fields, moment, plain, span, table

ACTS: Final = (
    "list", "show", "retry", "cancel", "promote", "prioritise", "discard", "replay", "bulk", "operations", "stop",
    "resume",
)  # fmt: skip
REPEATED: Final = frozenset({"attempt", "max_attempts", "run_id", "message_id", "classification"})
"""Facts of an event that `show` does not repeat on its line; --json has them all."""


class Command(BaseCommand):
    """``manage.py openqueue_runs list|show|retry|cancel|promote|prioritise|discard|replay|bulk|operations|...``."""

    help = "Lists runs, shows one with its timeline, and acts on one, on some, or on all that a search finds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar=" | ".join(ACTS))
        listing = acts.add_parser("list", help="Newest first; with a --status by end, start or due time.")
        listing.add_argument("--status", choices=run_list.STATUSES)
        listing.add_argument("--queue")
        listing.add_argument("--task", help="The task's id.")
        listing.add_argument("--tag")
        listing.add_argument(
            "--since",
            type=arguments.since,
            help="Created (with a final --status: finished) since: 10m, 2h, 1d, or 2027-03-01T09:00.",
        )
        listing.add_argument(
            "--search", default="", help="More conditions: 'error:Timeout -queue:mail args.order:7 since:2h'."
        )
        listing.add_argument("--limit", type=arguments.positive, default=50, help="Default: 50.")
        show = acts.add_parser("show", help="All that is on record about one run.")
        show.add_argument("id", help="The run's id, or at least its first 8 characters.")
        for name, what in (
            ("retry", "Start finished runs anew"),
            ("cancel", "Cancel runs, running ones by asking"),
            ("promote", "Make delayed runs due"),
            ("prioritise", "Give runs that wait another priority"),
            ("discard", "Delete ended runs with their history"),
        ):
            act = acts.add_parser(name, help=f"{what}. Exit code 1 if any of them could not be.")
            act.add_argument("id", nargs="+", help="Ids, or at least their first 8 characters.")
            if name == "prioritise":
                act.add_argument(
                    "--priority", type=int, required=True, help="-100 to 100; higher runs sooner."
                )
        again = acts.add_parser(
            "replay", help="Repeat an ended run by a new one, perhaps with other arguments."
        )
        again.add_argument("id", help="The run's id, or at least its first 8 characters.")
        again.add_argument("--payload", help="Arguments as JSON, in place of the old ones.")
        again.add_argument("--payload-file", help="The same from a file; -: standard input.")
        bulk.add_arguments(acts.add_parser("bulk", help="Act on all runs that a search finds."))
        operations = acts.add_parser("operations", help="How acts on many runs stand, newest first.")
        operations.add_argument("--limit", type=arguments.positive, default=20, help="Default: 20.")
        for name, what in (
            ("stop", "End an operation behind the batch that it is at"),
            ("resume", "Go on with an operation that was interrupted"),
        ):
            act = acts.add_parser(name, help=f"{what}.")
            act.add_argument("id", type=UUID, help="The operation's id.")
            if name == "resume":
                act.add_argument("--background", action="store_true", help="Leave it to a worker.")
        for name in ("retry", "cancel", "promote", "prioritise", "discard", "replay", "stop", "resume"):
            acts.choices[name].add_argument("--reason", default="", help="Why, for the record.")
            arguments.add_actor(acts.choices[name])
        for act in acts.choices.values():
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"{options['act']}_runs")(options)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def list_runs(self, options: dict[str, Any]) -> None:
        found = run_list.find(
            run_list.Wanted(
                status=options["status"],
                queue=options["queue"],
                task_id=options["task"],
                tag=options["tag"],
                since=options["since"],
                search=options["search"],
                limit=options["limit"],
            )
        )
        if options["json"]:
            self.stdout.write(as_json(found))
            return
        rows = [
            [
                r.id,
                r.task_id,
                r.queue,
                r.status if not r.reason else f"{r.status} ({r.reason})",
                f"{r.attempt}/{r.max_attempts}",
                moment(r.created_at),
                moment(r.due_at) if r.status in {"scheduled", "retrying"} else None,
                span(r.seconds),
            ]
            for r in found.runs
        ]
        headers = ["RUN", "TASK", "QUEUE", "STATUS", "ATTEMPT", "CREATED", "DUE", "TOOK"]
        for problem in found.problems:
            self.stderr.write(f"Left out: {problem.message}")
        if found.stopped:
            self.stdout.write(f"Stopped after {LIMIT.total_seconds():g} s. Ask for less: a status, a period.")
            return
        self.stdout.write(table(headers, rows) if rows else "No such runs.")
        if not found.searched_all:
            self.stdout.write(f"Only the newest {run_list.EXAMINED} were searched.")

    def show_runs(self, options: dict[str, Any]) -> None:
        run = runs.show(run_ids.one(options["id"]))
        self.stdout.write(as_json(run) if options["json"] else "\n\n".join(described(run)))

    def retry_runs(self, options: dict[str, Any]) -> None:
        chosen = run_ids.resolve(options["id"])
        actor = arguments.actor(options["actor"])
        self.answer(runs.retry(chosen, actor=actor, reason=options["reason"]), options)

    def cancel_runs(self, options: dict[str, Any]) -> None:
        chosen = run_ids.resolve(options["id"])
        actor = arguments.actor(options["actor"])
        self.answer(runs.cancel(chosen, actor=actor, reason=options["reason"]), options)

    def promote_runs(self, options: dict[str, Any]) -> None:
        chosen = run_ids.resolve(options["id"])
        actor = arguments.actor(options["actor"])
        self.answer(runs.promote(chosen, actor=actor, reason=options["reason"]), options)

    def prioritise_runs(self, options: dict[str, Any]) -> None:
        chosen = run_ids.resolve(options["id"])
        actor = arguments.actor(options["actor"])
        answers = runs.prioritise(chosen, priority=options["priority"], actor=actor, reason=options["reason"])
        self.answer(answers, options)

    def discard_runs(self, options: dict[str, Any]) -> None:
        chosen = run_ids.resolve(options["id"])
        actor = arguments.actor(options["actor"])
        self.answer(runs.discard(chosen, actor=actor, reason=options["reason"]), options)

    def replay_runs(self, options: dict[str, Any]) -> None:
        payload = None
        if options["payload"] is not None or options["payload_file"] is not None:
            payload = arguments.payload(options["payload"], path=options["payload_file"])
        caller = Caller.operator(arguments.actor(options["actor"]))
        chosen = run_ids.one(options["id"])
        answer = run_acts.replay(chosen, payload=payload, caller=caller, reason=options["reason"])
        if options["json"]:
            self.stdout.write(as_json(answer))
        else:
            self.stdout.write(f"Run {answer.run.id} repeats {chosen}.")

    def bulk_runs(self, options: dict[str, Any]) -> None:
        bulk.ask(self, options)

    def operations_runs(self, options: dict[str, Any]) -> None:
        bulk.listing(self, options)

    def stop_runs(self, options: dict[str, Any]) -> None:
        caller = Caller.operator(arguments.actor(options["actor"]))
        now = bulk_acts.stop(options["id"], caller=caller, reason=options["reason"])
        bulk.answer(self, now, options)

    def resume_runs(self, options: dict[str, Any]) -> None:
        bulk.resume(self, options["id"], options)

    def answer(self, answers: Mapping[UUID, str], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(as_json([{"id": run, "answer": answer} for run, answer in answers.items()]))
        else:
            self.stdout.write(table(["RUN", "ANSWER"], answers.items()))
        if set(answers.values()) - verbs.ACTED:
            sys.exit(1)


def described(run: RunDetail) -> list[str]:
    """Return a run as paragraphs for people."""
    attempts = f"{run.attempt} of {run.max_attempts}" + (
        f", {run.crash_count} lost" if run.crash_count else ""
    )
    asked = "; cancel requested" if run.cancel_requested else ""
    facts = [
        ("status", f"{run.status}{f' ({run.reason})' if run.reason else ''}{asked}"),
        ("queue", f"{run.queue} on {run.runtime}, priority {run.priority}"),
        ("attempt", attempts),
        ("replay of", run.replay_of),
        ("flow", run.flow_id),
        ("cycle", run.cycle if run.cycle > 1 else None),
        ("created", moment(run.created_at)),
        ("due", moment(run.due_at)),
        ("waits for", run.waits_for),
        ("expires", moment(run.expires_at)),
        ("started", moment(run.started_at)),
        ("finished", moment(run.finished_at)),
        ("took", run.seconds is not None and span(run.seconds)),
        ("worker", run.worker_id),
        ("tags", ", ".join(run.tags)),
        ("meta", run.meta and compact(run.meta)),
        ("options", run.options and compact(run.options)),
        ("arguments", compact(run.payload)),
        ("result", compact(run.result) if run.status == "completed" else None),
    ]
    parts = [f"{plain(run.task_id)} {run.id}\n" + fields((name, value or None) for name, value in facts)]
    if run.error:
        parts.append(failure(run.error))
    earlier = "TIMELINE (older lines left off)\n" if run.timeline_left_off else "TIMELINE\n"
    parts.append(earlier + "\n".join(happened(entry) for entry in run.timeline))
    if run.logs:
        lines = [
            f"  +{span(line.after)}  #{line.attempt} {logging.getLevelName(line.level).lower()}  {plain(line.text)}"
            for line in run.logs
        ]
        parts.append("\n".join(["LOG (older lines left off)" if run.logs_left_off else "LOG", *lines]))
    return parts


def failure(error: Mapping[str, Any]) -> str:
    """Return an error with its traceback."""
    head = f"ERROR\n  {plain(str(error.get('type')))}: {plain(str(error.get('message')))}"
    trace = [f"  {plain(line)}" for line in str(error.get("traceback") or "").splitlines()]
    return "\n".join([head, *trace])


def happened(entry: TimelineEntry) -> str:
    """Return one line of a timeline: the error first, and nothing that the line says anyway."""
    facts = dict(entry.data) if isinstance(entry.data, dict) else {"data": entry.data}
    error = facts.pop("error", None)
    if isinstance(error, dict):
        facts = {"error": f"{error.get('type')}: {error.get('message')}"} | facts
    facts = {key: value for key, value in facts.items() if value is not None and key not in REPEATED}
    by = f"by {plain(entry.actor)}  " if entry.actor else ""
    line = f"  +{span(entry.after):9}  #{entry.attempt} {entry.kind:22}{by}"
    return f"{line}{compact(facts) if facts else ''}".rstrip()
