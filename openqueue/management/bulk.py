"""How a command asks for an act on many runs, and works through it before everybody's eyes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from openqueue.control import bulk, bulk_acts
from openqueue.control.bulk import BulkFacts, Preview
from openqueue.control.callers import Caller
from openqueue.management import arguments, progress
from openqueue.management.tables import as_json, moment, table


def add_arguments(parser: ArgumentParser) -> None:
    """Add what asking takes."""
    parser.add_argument("what", choices=sorted(bulk.ACTS), metavar="ACT", help=", ".join(bulk.ACTS))
    parser.add_argument(
        "--filter", required=True, help="Which runs, as a search: 'status:failed queue:mail since:2h'."
    )
    parser.add_argument("--priority", type=int, help="Of prioritise: -100 to 100, higher runs sooner.")
    parser.add_argument("--yes", action="store_true", help="Do not ask.")
    parser.add_argument(
        "--background",
        action="store_true",
        help="Leave more than a thousand to a worker, instead of doing them here.",
    )
    parser.add_argument("--reason", default="", help="Why, for the record.")
    arguments.add_actor(parser)


def ask(command: BaseCommand, options: dict[str, Any]) -> None:
    """Ask whether it is meant, and do it."""
    caller = Caller.operator(arguments.actor(options["actor"]))
    given = {} if options["priority"] is None else {"priority": options["priority"]}
    seen = bulk_acts.preview(options["what"], options["filter"], caller=caller, arguments=given)
    if not options["yes"]:
        confirm(seen)
    asked = bulk_acts.ask(
        options["what"],
        seen.search,
        caller=caller,
        arguments=given,
        reason=options["reason"],
        drives=not options["background"],
    )
    if asked.finished_at is None and asked.run_id is None:
        asked = watch(command, asked.id, bulk.drive(asked.id), quiet=options["json"])
    answer(command, asked, options)


def resume(command: BaseCommand, operation: UUID, options: dict[str, Any]) -> None:
    """Go on here with one that was interrupted, or have a worker do so."""
    caller = Caller.operator(arguments.actor(options["actor"]))
    now = bulk_acts.show(operation, caller=caller)
    if options["background"] or now.state not in {"working", "interrupted"}:
        now = bulk_acts.resume(operation, caller=caller, reason=options["reason"])
    else:
        now = watch(command, operation, bulk.drive(operation), quiet=options["json"])
    answer(command, now, options)


def watch(command: BaseCommand, operation: UUID, steps: Iterable[BulkFacts], *, quiet: bool) -> BulkFacts:
    """Work through an operation with a bar that shows how far it is; return how it ended."""
    now = None
    try:
        for now in steps:
            if not quiet and now.finished_at is None:
                progress.show(command.stderr, f"{now.met} runs", now.share or 0.0)
    except KeyboardInterrupt:
        raise CommandError(
            f"Interrupted; what was done stays done. Go on: openqueue_runs resume {operation}", returncode=130
        ) from None
    finally:
        if not quiet:
            progress.show(command.stderr, "", 0.0)
    assert now is not None  # noqa: S101  # there is always a step
    return now


def answer(command: BaseCommand, now: BulkFacts, options: dict[str, Any]) -> None:
    """Say how an operation stands."""
    if options["json"]:
        command.stdout.write(as_json(now))
        return
    if now.state == "waiting":
        command.stdout.write(
            f"Operation {now.id} waits for a worker that serves the queue openqueue. See how far it is: "
            f"openqueue_runs operations"
        )
        return
    left = f", {total} skipped ({skipped(now)})" if (total := now.met - now.acted) else ""
    command.stdout.write(f"{now.acted} {bulk.ACTS[now.act].past}{left}.")
    if now.state == "stopped":
        command.stdout.write(f"Stopped by {now.stopped_by}.")


def listing(command: BaseCommand, options: dict[str, Any]) -> None:
    """List the newest operations."""
    caller = Caller.operator(arguments.actor(None))
    found = bulk_acts.listing(caller=caller, limit=options["limit"])
    if options["json"]:
        command.stdout.write(as_json({"operations": found}))
        return
    headers = ["OPERATION", "ACT", "SEARCH", "STATE", "EXPECTED", "ACTED", "SKIPPED", "BY", "ASKED"]
    rows = [
        [
            one.id,
            one.act,
            one.search,
            one.state,
            None if one.expected is None else f"{one.expected}{'+' * one.or_more}",
            one.acted,
            skipped(one),
            one.actor,
            moment(one.asked_at),
        ]
        for one in found
    ]
    command.stdout.write(table(headers, rows) if rows else "No such operations.")


def skipped(now: BulkFacts) -> str:
    """Return how many were left, by the reason."""
    return ", ".join(f"{count} {reason}" for reason, count in sorted(now.skipped.items()))


def confirm(seen: Preview) -> None:
    """Ask on the terminal.

    Raises:
        CommandError: nobody is there, or they said no.
    """
    number = "an unknown number of" if seen.number is None else f"{seen.number}{'+' * seen.or_more}"
    if not sys.stdin.isatty():
        raise CommandError(
            f"`{seen.search}` finds {number} runs, and nobody is there to ask. Say --yes to {seen.act} them all the "
            f"same."
        )
    said = input(f"{seen.act.capitalize()} {number} runs that `{seen.search}` finds? [y/N] ")
    if said.strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was done.")
