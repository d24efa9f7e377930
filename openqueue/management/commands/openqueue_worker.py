"""Execute runs."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import openqueue
from openqueue.conf import config
from openqueue.management.stopping import on_stop
from openqueue.processes.worker.worker import Worker
from openqueue.telemetry import logs


class Command(BaseCommand):
    """``manage.py openqueue_worker``."""

    help = "Executes runs until it is told to stop (SIGTERM or Ctrl-C; once more to stop at once)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--queues", help="Comma-separated names. Default: every queue of settings and tasks."
        )
        parser.add_argument("--runtime", help="Serve only the queues of this runtime.")
        parser.add_argument(
            "--concurrency", type=int, default=10, help="Slots: bodies at one time. Default: 10."
        )
        parser.add_argument(
            "--no-scheduler", action="store_true", help="Leave the sweeps to other processes."
        )
        parser.add_argument("--drain", action="store_true", help="Stop when nothing is due.")
        parser.add_argument("--once", action="store_true", help="Claim one batch, execute it, stop.")
        parser.add_argument("--log-format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["concurrency"] < 1:
            raise CommandError("--concurrency must be at least 1.")
        if options["runtime"] is not None and options["runtime"] not in config.runtimes:
            raise CommandError(
                f"--runtime {options['runtime']!r} is not one of: {', '.join(config.runtimes)}."
            )
        queues = None
        if options["queues"]:
            queues = [name.strip() for name in options["queues"].split(",") if name.strip()]
        logs.configure(verbosity=options["verbosity"], form=options["log_format"], stream=self.stderr)
        worker = Worker(
            queues=queues,
            runtime=options["runtime"],
            slots=options["concurrency"],
            sweeps=not options["no_scheduler"],
            drain=options["drain"],
            once=options["once"],
        )
        if not worker.by_runtime:
            raise CommandError("There is no queue to serve. Give --queues, or drop --runtime.")
        with on_stop(worker.stop):
            if options["verbosity"]:
                self.banner(worker, options)
            code = worker.run()
        self.stdout.flush()
        if code == 75 and not (options["drain"] or options["once"]):
            # A body cannot be interrupted: hand over to a fresh process of the same command.
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # the very command that runs
        sys.exit(code) if code else None

    def banner(self, worker: Worker, options: dict[str, Any]) -> None:
        served = "; ".join(f"{alias}: {', '.join(queues)}" for alias, queues in worker.by_runtime.items())
        if worker.discovers:
            served += ", and any other queue with due runs"
        sweeps = "left to other processes" if options["no_scheduler"] else "yes"
        self.stdout.write(
            f"OpenQueue {openqueue.__version__} worker, pid {os.getpid()}\n"
            f"  database   {config.database}\n"
            f"  serves     {served}\n"
            f"  slots      {options['concurrency']}\n"
            f"  sweeps     {sweeps}\n"
            f"  lease      {config.lease.total_seconds():g} s, heartbeat {config.heartbeat.total_seconds():g} s\n"
            f"Ready."
        )
        self.stdout.flush()
