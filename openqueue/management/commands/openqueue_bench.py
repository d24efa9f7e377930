"""Measure OpenQueue with the settings in use."""

from __future__ import annotations

import json
import os
import time
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from openqueue.conf import config
from openqueue.management import progress
from openqueue.management.bench import accounting, measures
from openqueue.management.bench.tasks import QUEUE, carried_by
from openqueue.management.stopping import on_stop
from openqueue.processes.worker.worker import Worker

MEASURES: Final = ("trigger", "bulk", "drain", "latency")


class Command(BaseCommand):
    """``manage.py openqueue_bench``."""

    help = (
        "Measures trigger, bulk trigger, drain and latency on this machine with these settings. "
        "Works on the configured database, in a queue of its own, and deletes its runs afterwards."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--runs", type=int, default=20_000, help="Runs of bulk trigger and drain. Default: 20000."
        )
        parser.add_argument("--concurrency", type=int, default=10, help="Slots of the worker. Default: 10.")
        parser.add_argument(
            "--runtime",
            metavar="ALIASES",
            help="Comma-separated: measure on each. Default: the benchmark's queue's.",
        )
        parser.add_argument("--only", help=f"Comma-separated: {', '.join(MEASURES)}. Default: all.")
        parser.add_argument("--keep", action="store_true", help="Leave the benchmark's runs in the database.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument("--as-worker", action="store_true", help=SUPPRESS)
        parser.add_argument("--drain", action="store_true", help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        aliases = options["runtime"].split(",") if options["runtime"] else [config.runtime_of(QUEUE).alias]
        if unknown := set(aliases) - set(config.runtimes):
            raise CommandError(
                f"--runtime does not know {', '.join(sorted(unknown))}. It takes: {', '.join(config.runtimes)}."
            )
        if options["as_worker"]:
            with carried_by(aliases[0]):
                return self.serve(slots=options["concurrency"], drain=options["drain"])
        chosen = options["only"].split(",") if options["only"] else list(MEASURES)
        if unknown := set(chosen) - set(MEASURES):
            raise CommandError(
                f"--only does not know {', '.join(sorted(unknown))}. It takes: {', '.join(MEASURES)}."
            )
        if options["runs"] < 1 or options["concurrency"] < 1:
            raise CommandError("--runs and --concurrency must be at least 1.")
        if settings.DEBUG:
            self.stderr.write(
                "DEBUG is on: Django keeps every query, which costs more than what is measured here."
            )
        by_alias = {}
        for alias in aliases:
            with carried_by(alias):
                by_alias[alias] = self.measure(chosen, options)
        figures: dict[str, Any] = by_alias if options["runtime"] else by_alias[aliases[0]]
        tables = [
            f"runtime {alias}\n{self.table(some)}" if options["runtime"] else self.table(some)
            for alias, some in by_alias.items()
        ]
        self.stdout.write(json.dumps(figures, indent=2) if options["json"] else "\n".join(tables))
        return None

    def measure(self, chosen: list[str], options: dict[str, Any]) -> dict[str, measures.Figures]:
        """Measure what was chosen on the runtime that carries the queue now."""
        size, slots = options["runs"], options["concurrency"]
        acts: dict[str, Callable[[], measures.Figures]] = {
            "trigger": lambda: measures.trigger(size=min(1_000, size), tell=self.tell),
            "bulk": lambda: measures.bulk(size=size, tell=self.tell),
            "drain": lambda: measures.drain(size=size, slots=slots, tell=self.tell),
            "latency": lambda: measures.latency(size=min(300, size), slots=slots, tell=self.tell),
        }
        figures: dict[str, measures.Figures] = {}
        measures.clean()
        try:
            for name in MEASURES:
                if name in chosen:
                    figures[name] = acts[name]()
                    if name == "trigger" and not options["keep"]:
                        measures.clean()
        finally:
            if not options["keep"]:
                measures.clean()
            self.tell("", 1)
        return figures

    def serve(self, *, slots: int, drain: bool) -> None:
        """Be the worker that is measured: from ready to done, without the interpreter's start."""
        worker = Worker(queues=[QUEUE], slots=slots, drain=drain)
        pid = os.getpid()
        begun, cpu, rss = time.perf_counter(), time.process_time(), accounting.resident(pid)
        with on_stop(worker.stop):
            worker.run()
        self.stdout.write(
            json.dumps(
                {
                    "runs": worker.ledger.settled_total,
                    "seconds": time.perf_counter() - begun,
                    "cpu": time.process_time() - cpu,
                    "rss_start": rss,
                    "rss_end": accounting.resident(pid),
                }
            )
        )

    def tell(self, what: str, share: float) -> None:
        progress.show(self.stderr, what, share)

    @staticmethod
    def table(figures: dict[str, measures.Figures]) -> str:
        lines = []
        for name, row in figures.items():
            lines.append(name)
            lines += [
                f"  {key:24}{value:>14,.3f}" if isinstance(value, float) else f"  {key:24}{value:>14,}"
                for key, value in row.items()
            ]
        return "\n".join(lines)
