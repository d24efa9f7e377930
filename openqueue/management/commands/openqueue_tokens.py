"""Make, list and revoke the tokens of the API."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from openqueue.control import tokens
from openqueue.control.callers import SCOPES
from openqueue.errors import OpenQueueError
from openqueue.management import arguments
from openqueue.management.tables import as_json, moment, table

SCOPE_HELP: Final = (
    f"What it may do, more than once: {', '.join(SCOPES)}; or trigger:task:ID, trigger:queue:NAME, "
    f"worker:queue:NAME."
)


class Command(BaseCommand):
    """``manage.py openqueue_tokens create|list|revoke``."""

    help = "Makes tokens for programs that use the API, lists and revokes them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="create | list | revoke")
        create = acts.add_parser("create", help="Make a token and show it, this once.")
        create.add_argument("name", help="What the record will call it.")
        create.add_argument("--scope", action="append", required=True, metavar="SCOPE", help=SCOPE_HELP)
        create.add_argument(
            "--queue", action="append", metavar="NAME", help="Only these queues exist for it. Default: all."
        )
        create.add_argument(
            "--expires-in",
            type=arguments.duration,
            help="How long it lives: 12h, 90d. Default: until revoked.",
        )
        acts.add_parser("list", help="Every token, without its secret.")
        revoke = acts.add_parser("revoke", help="End tokens at once. Exit code 1 if any was not there.")
        revoke.add_argument("name", nargs="+")
        revoke.add_argument("--reason", default="", help="Why, for the record.")
        for act in (create, revoke):
            arguments.add_actor(act)
        for act in acts.choices.values():
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"{options['act']}_tokens")(options)
        except OpenQueueError as error:
            raise CommandError(str(error)) from error

    def create_tokens(self, options: dict[str, Any]) -> None:
        seconds = options["expires_in"]
        token = tokens.create(
            options["name"],
            scopes=options["scope"],
            queues=options["queue"],
            lifetime=None if seconds is None else timedelta(seconds=seconds),
            actor=arguments.actor(options["actor"]),
        )
        if options["json"]:
            self.stdout.write(as_json({"name": options["name"], "token": token}))
            return
        self.stdout.write(token)
        self.stderr.write("This is the only time that it is shown. Send it as: Authorization: Bearer TOKEN")

    def list_tokens(self, options: dict[str, Any]) -> None:
        found = tokens.listing()
        if options["json"]:
            self.stdout.write(as_json({"tokens": found}))
            return
        headers = ["NAME", "BEGINS", "SCOPES", "QUEUES", "STATE", "CREATED", "BY", "EXPIRES", "LAST USED"]
        rows = [
            [
                token.name,
                f"{tokens.MARK}_{token.prefix}",
                token.scopes,
                "all" if token.queues is None else token.queues,
                token.state,
                moment(token.created_at),
                token.created_by,
                moment(token.expires_at),
                moment(token.last_used_at),
            ]
            for token in found
        ]
        self.stdout.write(table(headers, rows) if rows else "No tokens.")

    def revoke_tokens(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        answers = tokens.revoke(options["name"], actor=actor, reason=options["reason"])
        if options["json"]:
            self.stdout.write(as_json([{"name": name, "answer": answer} for name, answer in answers.items()]))
        else:
            self.stdout.write(table(["NAME", "ANSWER"], answers.items()))
        if tokens.MISSING in answers.values():
            sys.exit(1)
