"""Delete history past its time, now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import history
from openqueue.management import arguments
from openqueue.management.tables import as_json, moment, table


class Command(BaseCommand):
    """``manage.py openqueue_prune``."""

    help = "Deletes what RETENTION says is past its time, as the sweep does once a minute, in chunks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Count what would go, and delete nothing.")
        parser.add_argument("--json", action="store_true", help="For scripts.")
        arguments.add_actor(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        actor = arguments.actor(options["actor"])
        try:
            self.plan(options) if options["dry_run"] else self.prune(options, actor=actor)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error

    def plan(self, options: dict[str, Any]) -> None:
        past = history.plan()
        if options["json"]:
            self.stdout.write(as_json({"dry_run": True, "kinds": past}))
            return
        rows = [
            [
                one.kind,
                "for ever" if one.kept_days is None else f"{one.kept_days:g} days",
                moment(one.before),
                f"{one.count}{' or more' if one.count >= one.counted_to else ''}",
            ]
            for one in past
        ]
        self.stdout.write(table(["KIND", "KEPT", "BEFORE", "WOULD GO"], rows))

    def prune(self, options: dict[str, Any], *, actor: Any) -> None:
        def told(kind: str, total: int) -> None:
            if options["verbosity"] and not options["json"]:
                self.stdout.write(f"{kind}: {total} deleted")
                self.stdout.flush()

        deleted = history.prune(actor=actor, told=told)
        if options["json"]:
            self.stdout.write(as_json({"dry_run": False, "deleted": deleted}))
        elif not any(deleted.values()):
            self.stdout.write("Nothing is past its time.")
