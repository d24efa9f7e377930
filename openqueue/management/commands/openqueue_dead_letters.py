"""Look at dead letters, requeue and discard them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import dead_letters, run_ids, runs, verbs
from openqueue.control.callers import Caller
from openqueue.errors import OpenQueueError, UnclearDeadLetter
from openqueue.management import arguments
from openqueue.management.tables import as_json, compact, moment, table

MESSAGE: Final = "message:"


class Command(BaseCommand):
    """``manage.py openqueue_dead_letters list|groups|requeue|discard``."""

    help = "Lists runs that failed for good and messages that could not become a run; requeues and discards them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="list | groups | requeue | discard")
        listing = acts.add_parser("list", help="Dead runs and messages, the newest of each.")
        listing.add_argument(
            "--search", default="", help="Which of the runs: 'queue:mail error:Timeout since:2h'."
        )
        listing.add_argument(
            "--discarded", action="store_true", help="Messages that were discarded, with who and why."
        )
        listing.add_argument(
            "--limit", type=arguments.positive, default=50, help="Of each kind; default: 50."
        )
        acts.add_parser("groups", help="How many there are by queue, task and reason.")
        for name, what in (
            ("requeue", "Start dead runs anew; a message cannot be, since its body is not kept"),
            ("discard", "Delete dead runs, and take messages off the list"),
        ):
            act = acts.add_parser(name, help=f"{what}. Exit code 1 if any of them could not be.")
            act.add_argument(
                "id", nargs="+", help="A run's id or its first 8 characters, or message:7 for a message."
            )
            act.add_argument("--reason", default="", help="Why, for the record.")
            arguments.add_actor(act)
        for act in acts.choices.values():
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        caller = Caller.operator(arguments.actor(options.get("actor")))
        try:
            getattr(self, f"{options['act']}_letters")(caller, options)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def list_letters(self, caller: Caller, options: dict[str, Any]) -> None:
        limit = options["limit"]
        page = dead_letters.runs(options["search"], caller=caller, size=limit)
        messages = dead_letters.messages(caller=caller, discarded=options["discarded"], limit=limit)
        if options["json"]:
            self.stdout.write(as_json({"runs": page.runs, "messages": messages}))
            return
        for problem in page.problems:
            self.stderr.write(f"Left out: {problem.message}")
        rows = [
            [r.id, r.task_id, r.queue, r.reason, f"{r.attempt}/{r.max_attempts}", moment(r.finished_at)]
            for r in page.runs
        ]
        headers = ["RUN", "TASK", "QUEUE", "REASON", "ATTEMPT", "FAILED"]
        self.stdout.write(table(headers, rows) if rows else "No dead runs.")
        letters = [
            [
                f"{MESSAGE}{m.id}",
                m.runtime,
                m.queue,
                m.reason,
                compact(m.origin) if m.origin else None,
                m.size,
                moment(m.at),
                m.discarded_by or None,
                m.discard_reason or None,
            ]
            for m in messages
        ]
        headers = ["MESSAGE", "RUNTIME", "QUEUE", "REASON", "FROM", "BYTES", "AT", "DISCARDED BY", "WHY"]
        self.stdout.write(table(headers, letters) if letters else "No dead messages.")

    def groups_letters(self, caller: Caller, options: dict[str, Any]) -> None:
        found = dead_letters.groups(caller=caller)
        if options["json"]:
            self.stdout.write(as_json(found))
            return
        rows = [
            [g.kind, g.queue, g.task_id or None, g.reason, g.count, moment(g.first_at), moment(g.last_at)]
            for g in found.groups
        ]
        headers = ["KIND", "QUEUE", "TASK", "REASON", "COUNT", "FIRST", "LAST"]
        self.stdout.write(table(headers, rows) if rows else "Nothing is dead.")
        if not found.examined_all:
            self.stdout.write(f"Only the newest {dead_letters.EXAMINED} of a kind were counted.")

    def requeue_letters(self, caller: Caller, options: dict[str, Any]) -> None:
        chosen, letters = split(options["id"])
        for letter in letters:
            dead_letters.requeue(letter, caller=caller)
        ids = run_ids.resolve(chosen)
        self.answer(dict(runs.retry(ids, actor=caller.actor, reason=options["reason"])), options)

    def discard_letters(self, caller: Caller, options: dict[str, Any]) -> None:
        chosen, letters = split(options["id"])
        ids = run_ids.resolve(chosen)
        answers: dict[Any, str] = {}
        if letters:
            dead_letters.discard(letters, caller=caller, reason=options["reason"])
            answers |= {f"{MESSAGE}{letter}": verbs.DISCARDED for letter in letters}
        if ids:
            answers |= runs.discard(ids, actor=caller.actor, reason=options["reason"])
        self.answer(answers, options)

    def answer(self, answers: dict[Any, str], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(as_json([{"id": one, "answer": answer} for one, answer in answers.items()]))
        else:
            self.stdout.write(table(["DEAD LETTER", "ANSWER"], answers.items()))
        if set(answers.values()) - verbs.ACTED:
            sys.exit(1)


def split(names: list[str]) -> tuple[list[str], list[int]]:
    """Return which of these are runs, and which are messages."""
    letters = []
    for name in names:
        if name.startswith(MESSAGE):
            number = name.removeprefix(MESSAGE)
            if not number.isdecimal() or len(number) > 18:
                raise UnclearDeadLetter(
                    f"{name!r} is no dead letter. Write message:7, with the number of the list."
                )
            letters.append(int(number))
    return [name for name in names if not name.startswith(MESSAGE)], letters
