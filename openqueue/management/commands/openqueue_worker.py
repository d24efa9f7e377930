"""Execute runs."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

import openqueue
from openqueue.conf import config
from openqueue.errors import UnsupportedCapability
from openqueue.management.arguments import positive, queues
from openqueue.management.service import Service
from openqueue.management.stopping import hold_back, on_signals, on_stop
from openqueue.processes.pulse import STALE, Pulse, is_fresh
from openqueue.processes.supervisor.supervisor import Supervisor
from openqueue.processes.tether import AGAIN, Tether
from openqueue.processes.worker import sources
from openqueue.processes.worker.recycling import Recycling
from openqueue.processes.worker.worker import Worker
from openqueue.telemetry import logs

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
SIGNALS: Final = (*STOPPING, signal.SIGCHLD)


class Command(Service):
    """``manage.py openqueue_worker``."""

    help = (
        "Executes runs until it is told to stop: SIGTERM or Ctrl-C, once more (or SIGQUIT) to stop at once. "
        "Exit codes: 0 stopped or drained, 1 cannot start, 75 to be started again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_argument_group("what it serves")
        which.add_argument(
            "--queues",
            type=queues,
            help="Comma-separated names, with weights if wanted: mail=3,reports=1. Default: every queue of settings "
            "and tasks, and any other with due runs.",
        )
        which.add_argument(
            "--strict",
            action="store_true",
            help="A queue gives only what those before it in --queues leave.",
        )
        which.add_argument("--runtime", help="Serve only the queues of this runtime.")
        which.add_argument("--no-scheduler", action="store_true", help="Leave the sweeps to other processes.")
        size = parser.add_argument_group("how much")
        size.add_argument(
            "--concurrency",
            type=positive,
            default=10,
            help="Slots of each process: bodies at one time. Default: 10.",
        )
        size.add_argument(
            "--processes",
            type=positive,
            default=1,
            help="Worker processes, supervised by this one. Default: 1.",
        )
        until = parser.add_argument_group("until when")
        until.add_argument("--drain", action="store_true", help="Stop when nothing is due.")
        until.add_argument("--once", action="store_true", help="Claim one batch, execute it, stop.")
        until.add_argument(
            "--max-runs", type=positive, metavar="N", help="Replace a process, between bodies, after N runs."
        )
        until.add_argument(
            "--max-rss",
            type=positive,
            metavar="MB",
            help="The same when it holds so many megabytes of memory.",
        )
        until.add_argument(
            "--reload", action="store_true", help="For development: replace it when its code changes."
        )
        seen = parser.add_argument_group("how it is seen")
        seen.add_argument(
            "--health-file", type=Path, metavar="PATH", help="A file that is touched while all is well."
        )
        seen.add_argument(
            "--healthy",
            type=Path,
            metavar="PATH",
            help="Execute nothing: exit with 0 if this health file was touched within 30 s, else with 1.",
        )
        seen.add_argument("--log-format", choices=["text", "json"], default="text")

    def execute(self, *args: Any, **options: Any) -> str | None:
        if options["healthy"] is not None:
            options["skip_checks"] = True  # a probe asks every few seconds
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["healthy"] is not None:
            self.probe(options["healthy"])
            return
        tether = Tether.inherited()
        self.check_options(options)
        logs.configure(verbosity=options["verbosity"], form=options["log_format"], stream=self.stderr)
        if (options["processes"] > 1 or options["reload"]) and tether is None:
            code = self.supervise(options)
        else:
            code = self.serve(options, tether=tether)
        sys.exit(code) if code else None

    @staticmethod
    def probe(health_file: Path) -> None:
        if not is_fresh(health_file):
            raise CommandError(
                f"--healthy {health_file}: no worker touched it within {STALE:g} s. Is one running with "
                f"--health-file {health_file}, and does it reach the database?"
            )

    @staticmethod
    def check_options(options: dict[str, Any]) -> None:
        """Refuse what does not fit together, naming the option and the remedy."""
        if options["runtime"] is not None and options["runtime"] not in config.runtimes:
            raise CommandError(
                f"--runtime {options['runtime']!r} is not one of: {', '.join(config.runtimes)}."
            )
        supervised = "reload" if options["reload"] else "processes" if options["processes"] > 1 else ""
        if supervised and options["once"]:
            raise CommandError(f"--once is for one process: leave out --{supervised}.")
        if options["reload"] and options["drain"]:
            raise CommandError("--drain ends when nothing is due: leave out --reload.")
        if supervised and not is_own_program():
            raise CommandError(
                f"--{supervised} starts this program again for each worker: run it from a command line, "
                f"as manage.py openqueue_worker --{supervised}."
            )
        if not options["strict"]:
            return
        if options["queues"] is None:
            raise CommandError("--strict needs the queues in their order: --queues high,low --strict.")
        if any(options["queues"].values()):
            raise CommandError("--strict leaves nothing to weights: drop it, or write --queues without =.")

    def worker(self, options: dict[str, Any], *, pulse: Pulse | None = None) -> Worker:
        named: dict[str, int | None] | None = options["queues"]
        weights = None
        if named is not None and any(named.values()):
            weights = {name: weight or 1 for name, weight in named.items()}
        recycling = Recycling(max_runs=options["max_runs"], max_rss=options["max_rss"])
        worker = Worker(
            queues=None if named is None else list(named),
            runtime=options["runtime"],
            slots=options["concurrency"],
            sweeps=not options["no_scheduler"],
            drain=options["drain"],
            once=options["once"],
            pulse=pulse,
            recycling=recycling,
        )
        if not worker.by_runtime:
            raise CommandError("There is no queue to serve. Give --queues, or drop --runtime.")
        if options["strict"] or weights:
            try:
                worker.keep_order(weights=weights)
            except UnsupportedCapability as error:
                option = "--strict" if options["strict"] else "weights in --queues"
                raise CommandError(f"{option}: {error}") from error
        return worker

    def serve(self, options: dict[str, Any], *, tether: Tether | None) -> int:
        pulse = self.pulse("worker", options, tether=tether)
        worker = self.worker(options, pulse=pulse)
        with on_stop(worker.stop, at_once=worker.stop_at_once):
            if tether is None:
                self.banner(worker, options)
            if options["reload"] and tether is not None:
                sources.on_change(worker.reload, since=tether.began)
            code = worker.run()
            ends = options["once"] or (options["drain"] and worker.timekeeper.stuck)
            renews = code == AGAIN and tether is None and not ends and is_own_program()
            if renews:
                hold_back(*STOPPING)
        if renews and worker.told_to_stop:
            return 0
        if renews:
            self.stdout.flush()
            os.execv(sys.executable, again())  # noqa: S606  # the very command that runs, under the same process id
        return code

    def supervise(self, options: dict[str, Any]) -> int:
        worker = self.worker(options)  # only to refuse what no child could serve, and for the banner
        supervisor = Supervisor(
            again(),
            environment=dict(os.environ),
            processes=options["processes"],
            pulse=self.pulse("supervisor", options),
            reloads=options["reload"],
        )
        with on_signals(dict.fromkeys(SIGNALS, supervisor.hear)):
            self.banner(worker, options)
            return supervisor.run()

    @staticmethod
    def pulse(role: str, options: dict[str, Any], *, tether: Tether | None = None) -> Pulse:
        served = ",".join(options["queues"]) if options["queues"] else "all queues"
        health_file = options["health_file"] if tether is None else None  # the supervisor's, for all together
        return Pulse(title=f"openqueue {role} [{served}]", health_file=health_file, tether=tether)

    def banner(self, worker: Worker, options: dict[str, Any]) -> None:
        if not options["verbosity"]:
            return
        processes = options["processes"]
        slots = options["concurrency"] if processes == 1 else f"{processes} x {options['concurrency']}"
        if options["strict"]:
            order = "strict"
        elif worker.weights:
            order = ", ".join(f"{name}={weight}" for name, weight in worker.weights.items())
        else:
            order = "priority, then due time"
        served = "; ".join(f"{alias}: {', '.join(queues)}" for alias, queues in worker.by_runtime.items())
        if worker.discovers:
            served += ", and any other queue with due runs"
        sweeps = "left to other processes" if options["no_scheduler"] else "yes"
        self.stdout.write(
            f"OpenQueue {openqueue.__version__} worker, pid {os.getpid()}\n"
            f"  database   {config.database}\n"
            f"  serves     {served}\n"
            f"  order      {order}\n"
            f"  slots      {slots}\n"
            f"  sweeps     {sweeps}\n"
            f"  lease      {config.lease.total_seconds():g} s, heartbeat {config.heartbeat.total_seconds():g} s\n"
            f"Ready."
        )
        self.stdout.flush()


def again() -> list[str]:
    """Return the very command that runs, for a fresh process of it."""
    return [sys.executable, *sys.orig_argv[1:]]


def is_own_program() -> bool:
    """Tell whether this process was started to run this command, and not some program that calls it."""
    return "openqueue_worker" in sys.orig_argv
