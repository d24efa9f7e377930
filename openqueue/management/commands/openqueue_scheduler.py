"""Run the sweeps alone."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import CommandError

import openqueue
from openqueue.conf import config
from openqueue.management.service import Service
from openqueue.management.stopping import on_stop
from openqueue.processes.sweeps import NAMES, loops
from openqueue.telemetry import logs

LOOK: Final = 0.2
"""Seconds between looks for a signal."""
LAST_STEP: Final = 1.0
"""Seconds that a sweep has to end its batch; what it leaves, another process does."""


class Command(Service):
    """``manage.py openqueue_scheduler``."""

    help = "Runs the sweeps that workers run too: rows falling due, announcements, lost workers, retention."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--runtime", help="Announce for this runtime only. Default: for all.")
        parser.add_argument("--only", help=f"Comma-separated sweeps: {', '.join(NAMES)}. Default: all.")
        parser.add_argument("--log-format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        names = self.names(options["only"])
        if options["runtime"] is not None and options["runtime"] not in config.runtimes:
            raise CommandError(
                f"--runtime {options['runtime']!r} is not one of: {', '.join(config.runtimes)}."
            )
        logs.configure(verbosity=options["verbosity"], form=options["log_format"], stream=self.stderr)
        made = list(loops(only=names, runtime=options["runtime"]).values())
        asked: list[int] = []
        with on_stop(lambda: asked.append(1)):
            if options["verbosity"]:
                self.banner(names, runtime=options["runtime"])
            for loop in made:
                loop.start()
            while all(loop.is_alive() for loop in made) and not asked:
                made[0].join(LOOK)
        for loop in made:
            loop.stop()
        until = time.monotonic() + LAST_STEP
        for loop in made:
            loop.join(max(0.0, until - time.monotonic()))
        if options["verbosity"]:
            self.stdout.write("Stopped.")

    @staticmethod
    def names(given: str | None) -> list[str]:
        if given is None:
            return list(NAMES)
        names = [name.strip() for name in given.split(",") if name.strip()]
        unknown = sorted(set(names) - set(NAMES))
        if unknown or not names:
            raise CommandError(
                f"--only {given!r}: there is no sweep {', '.join(unknown)!r}. Choose from: {', '.join(NAMES)}."
            )
        return names

    def banner(self, names: list[str], *, runtime: str | None) -> None:
        self.stdout.write(
            f"OpenQueue {openqueue.__version__} scheduler, pid {os.getpid()}\n"
            f"  database   {config.database}\n"
            f"  sweeps     {', '.join(names)}\n"
            f"  announces  {runtime or ', '.join(config.runtimes)}\n"
            f"Ready."
        )
        self.stdout.flush()
