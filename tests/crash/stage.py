"""The stage of a bad day: worker processes with short leases, gates in their bodies, and what is left on disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from django.db import connection
from django.utils import timezone

from openqueue.models import Claim, Outbox, Run, RunEvent, Sweep, Worker
from tests.eventually import eventually

LEASE, HEARTBEAT, REAP_EVERY, GRACE = 3.5, 0.5, 0.5, 10
SETTINGS: dict[str, Any] = {
    "LEASE": LEASE,
    "HEARTBEAT": HEARTBEAT,
    "REAP_EVERY": REAP_EVERY,
    "SHUTDOWN_GRACE": GRACE,
    "REPUBLISH_AFTER": 2,
}
RECOVERY = LEASE + REAP_EVERY + 2 * HEARTBEAT + 6
"""Seconds in which a lost run must have begun again, on a busy machine."""

CLAIM = b"INSERT INTO openqueue_claim"
SETTLE = (
    b"FROM openqueue_claim AS c FORCE INDEX"
    if connection.vendor == "mysql"
    else b"DELETE FROM openqueue_claim"
)
"""How the proxy knows these statements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One line that a body wrote."""

    run: str
    attempt: int
    what: str
    pid: int
    at: float


class Gates:
    """The folder that bodies write to and wait in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def effects(self, run: Any = None, what: str = "start") -> list[Effect]:
        """Return what bodies wrote so far, of one run or of all."""
        file = self.folder / "effects"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [Effect(**json.loads(line)) for line in lines]
        return [e for e in found if e.what == what and (run is None or e.run == str(run.id))]

    def starts(self, run: Any) -> list[int]:
        """Return the attempts whose bodies began, in order."""
        return [effect.attempt for effect in self.effects(run)]

    def open(self, run: Any = None, *, attempt: int | None = None) -> None:
        """Let the bodies of a run go on, or that of one attempt; without a run, all bodies for good."""
        name = "all" if run is None else str(run.id)
        (self.folder / f"go-{name if attempt is None else f'{name}-{attempt}'}").touch()

    def wait_inside(self, run: Any, *, attempt: int = 1, within: float = RECOVERY + 5) -> None:
        """Wait until the body of this attempt is inside."""
        eventually((self.folder / f"started-{run.id}-{attempt}").exists, within=within)

    def wait_ended(self, run: Any, *, times: int = 1) -> None:
        eventually(lambda: len(self.effects(run, "end")) >= times)


class WorkerProcess:
    """One `openqueue_worker` in a process group of its own."""

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "django", "openqueue_worker", "-v", "2", *arguments],
                env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def incarnations(self) -> list[UUID]:
        return list(Worker.objects.filter(pid=self.pid).order_by("started_at").values_list("pk", flat=True))

    def ready(self) -> WorkerProcess:
        """Wait until it has a lease."""
        eventually(lambda: self.incarnations or self.process.poll() is not None, within=30)
        assert self.process.poll() is None, self.said()
        return self

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as the kernel would when memory runs out: nothing of it runs any more."""
        self.send(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """Freeze it, and return when it is frozen."""
        self.send(signal.SIGSTOP)
        eventually(lambda: Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")

    def go_on(self) -> None:
        self.send(signal.SIGCONT)

    def ends(self, within: float) -> int:
        """Wait for its end and return its exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it still runs after {within} s:\n{self.said()}") from None

    def end(self) -> None:
        """Leave nothing behind; what still runs says in its log where its threads are."""
        below: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.pid).children(
                recursive=True
            )  # of a supervisor, in groups of their own
        for number in (signal.SIGABRT, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
        self.process.wait(10)
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def said(self) -> str:
        said = self.log.read_text(errors="replace")
        return said if len(said) < 30_000 else f"{said[:15_000]}\n[...]\n{said[-15_000:]}"


class Stage:
    """Starts workers, and asks the database what became of the runs."""

    def __init__(self, folder: Path, environment: Callable[..., dict[str, str]]) -> None:
        self.folder = folder
        self.environment = environment
        self.settings: dict[str, Any] = dict(SETTINGS)
        self.gates = Gates(folder)
        self.workers: list[WorkerProcess] = []
        self.amnesia = False
        """The database forgot commits on purpose: what bodies wrote cannot fit what it says."""
        self.clock_was_set = False
        """The database's clock went back on purpose: the events' times do as well."""

    def worker(
        self,
        *arguments: str,
        wait: bool = True,
        port: int | None = None,
        database: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        **settings: Any,
    ) -> WorkerProcess:
        """Start a worker.

        port: leads it to the database through a proxy.
        database: what its project writes into DATABASES besides.
        """
        environment = self.surroundings(**settings) | (environment or {})
        if database is not None:
            environment["OPENQUEUE_TEST_MORE"] = json.dumps(database)
        if port is not None:
            url = environment["OPENQUEUE_TEST_SERVER"]
            environment["OPENQUEUE_TEST_SERVER"] = f"{url.rpartition(':')[0]}:{port}/"
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = WorkerProcess(environment, log, *(arguments or ("--concurrency", "4")))
        self.workers.append(worker)
        return worker.ready() if wait else worker

    def surroundings(self, **settings: Any) -> dict[str, str]:
        return self.environment(
            OPENQUEUE_TEST_SETTINGS=json.dumps(self.settings | settings),
            OPENQUEUE_TEST_GATES=str(self.folder),
            PYTHONFAULTHANDLER="1",
        )

    def client(self, code: str) -> UUID:
        """Run a process that triggers, prints the run's id and ends in its own way; return the id."""
        code = f"import os, django; django.setup(); from tests.app.crash_tasks import *\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", code], env=self.surroundings(), capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return UUID(done.stdout.strip())

    def have_watched(self) -> None:
        """Wait until every worker has seen the database well for as long as a reaper wants to before it acts."""
        enough = timezone.now() + timedelta(seconds=LEASE + 2 * HEARTBEAT + REAP_EVERY)
        eventually(lambda: Worker.objects.filter(lease_until__gt=enough).count() == len(self.workers))

    def leases_end(self) -> None:
        """Wait until every lease has been over for a while."""
        eventually(
            lambda: not Worker.objects.filter(lease_until__gt=timezone.now() - timedelta(seconds=1)).exists()
        )

    def close(self) -> None:
        for worker in self.workers:
            worker.end()

    def report(self) -> str:
        """Return what the workers printed, and what stands in the small tables."""
        said = [f"--- {worker.log.name}, pid {worker.pid}\n{worker.said()}" for worker in self.workers]
        for model in (Worker, Claim, Outbox, Sweep):
            said += [f"--- {model.__name__}", *(str(row) for row in model.objects.values())]
        return "\n".join(said)


@dataclass(frozen=True, slots=True)
class Known:
    """A run known by its id alone."""

    id: UUID


def settled(run: Any, status: str = "completed", *, within: float = RECOVERY + 10) -> Run:
    """Wait until a run ended and return its row; it must have ended like this."""
    row = eventually(lambda: Run.objects.filter(pk=run.id, outcome__isnull=False).first(), within=within)
    assert row.status == status, (row.status, row.reason, row.error)
    return row


def kinds(run: Any) -> list[str]:
    """Return the kinds of a run's events, in order."""
    return list(RunEvent.objects.filter(run_id=run.id).values_list("kind", flat=True))


def late_results(run: Any) -> int:
    return Counter(kinds(run))["late_result_discarded"]
