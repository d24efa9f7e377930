"""Trigger a task by its id."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import runs, tasks
from openqueue.errors import OpenQueueError, PayloadInvalid, RunExpired, TaskFailed, UnknownTask, WaitTimeout
from openqueue.handle import RunHandle
from openqueue.management import arguments
from openqueue.management.tables import as_json, compact, fields, span

OPTIONS: Final = ("queue", "priority", "delay", "run_at", "max_attempts", "ttl", "timeout", "tags")


class Command(BaseCommand):
    """``manage.py openqueue_trigger``."""

    help = "Creates a run of a task. With --wait: exit code 1 unless it completed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", help="The task's id: shop.send_invoice.")
        given = parser.add_mutually_exclusive_group()
        given.add_argument("--payload", metavar="JSON", help="""Arguments by name: '{"order_id": 7}'.""")
        given.add_argument(
            "--payload-file", metavar="FILE", help="A file that holds them; - is standard input."
        )
        parser.add_argument("--queue")
        parser.add_argument("--priority", type=int, help="-100 to 100; higher runs sooner.")
        parser.add_argument("--delay", type=arguments.duration, help="Until it is due: 90, 10m, 2h.")
        parser.add_argument("--run-at", type=arguments.moment, help="When it is due: 2027-03-01T09:00.")
        parser.add_argument("--max-attempts", type=int)
        parser.add_argument("--ttl", type=arguments.duration, help="From the due time to the first start.")
        parser.add_argument("--timeout", type=arguments.duration, help="For one attempt.")
        parser.add_argument("--tag", action="append", dest="tags", help="Once for each tag.")
        parser.add_argument(
            "--wait", type=arguments.duration, metavar="SECONDS", help="Wait so long for its end."
        )
        parser.add_argument("--json", action="store_true", help="The run, for scripts.")
        arguments.add_actor(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        run = self.trigger(options)
        failure = None if options["wait"] is None else self.wait(run, options["wait"])
        facts = runs.show(run.id)
        if options["json"]:
            self.stdout.write(as_json(facts))
        else:
            self.stdout.write(f"{facts.task_id} {facts.id}")
            seconds = None if facts.seconds is None else span(facts.seconds)
            result = compact(facts.result) if facts.status == "completed" else None
            pairs = [("queue", facts.queue), ("status", facts.status), ("reason", facts.reason)]
            self.stdout.write(fields([*pairs, ("took", seconds), ("result", result)]))
        if failure:
            raise CommandError(failure)

    @staticmethod
    def trigger(options: dict[str, Any]) -> RunHandle[Any]:
        payload = arguments.payload(options["payload"], path=options["payload_file"])
        chosen = {name: options[name] for name in OPTIONS if options[name] is not None}
        try:
            return tasks.trigger(options["task"], payload, actor=arguments.actor(options["actor"]), **chosen)
        except UnknownTask as error:
            meant = tasks.similar(options["task"])
            raise CommandError(
                f"{error}{' Did you mean ' + ', '.join(meant) + '?' if meant else ''}"
            ) from error
        except PayloadInvalid as error:
            wrong = "\n".join(f"  {path} {reason}" for path, reason in error.errors)
            raise CommandError(f"The payload does not fit {options['task']}:\n{wrong}") from error
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    @staticmethod
    def wait(run: RunHandle[Any], seconds: float) -> str | None:
        """Wait for the end; return what to complain about."""
        try:
            run.wait(timeout=seconds)
        except WaitTimeout:
            return f"Not finished within {span(seconds)}. It goes on: `openqueue_runs show {run.id}`."
        except (TaskFailed, RunExpired) as error:
            return str(error)
        return None
