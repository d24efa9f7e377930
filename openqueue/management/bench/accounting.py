"""CPU and memory by the operating system's own accounting."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from django.db import connections

from openqueue import runtimes
from openqueue.conf import config
from openqueue.management.bench.tasks import QUEUE
from openqueue.runtimes.base import Describes

TICK: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
PROC: Final = Path("/proc")
MYSQLD: Final = {"mariadbd", "mysqld"}


def server_cpu() -> float | None:
    """Return the CPU seconds of the database server's processes so far; None when it is not on this machine.

    PostgreSQL: the postmaster's own, what it has inherited from backends that ended, and those that live.
    MariaDB and MySQL: one process with many threads.
    """
    vendor = connections[config.database].vendor
    if not PROC.is_dir() or vendor not in {"postgresql", "mysql"}:
        return None
    if vendor == "mysql":
        server = find_mysqld()
        return None if server is None else process_cpu(server)
    postmaster = find_postmaster()
    if postmaster is None:
        return None
    total = 0.0
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = stat(int(entry.name))
            except (OSError, IndexError):
                continue  # it ended while we looked
            own, inherited, parent = (
                (int(fields[11]) + int(fields[12])),
                (int(fields[13]) + int(fields[14])),
                int(fields[1]),
            )
            if int(entry.name) == postmaster:
                total += own + inherited
            elif parent == postmaster:
                total += own
    return total / TICK


def broker_cpu() -> float | None:
    """Return the CPU seconds of the broker that carries the benchmark's queue, by its own account; None: there is none.

    Redis tells what getrusage(2) says of it; of a RabbitMQ on this machine its management API tells the process.
    """
    runtime = runtimes.get(config.runtime_of(QUEUE).alias)
    return runtime.configuration().cpu_seconds if isinstance(runtime, Describes) else None


def find_postmaster() -> int | None:
    with connections[config.database].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = int(cursor.fetchone()[0])
    return int(stat(backend)[1]) if is_program(backend, {"postgres", "postmaster"}) else None


def find_mysqld() -> int | None:
    with connections[config.database].cursor() as cursor:
        cursor.execute("SELECT @@pid_file, @@hostname")
        file, host = cursor.fetchone()
    if host != socket.gethostname():
        return None
    try:
        server = int(Path(file).read_text())
    except (OSError, ValueError):  # not ours to read
        running = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
        servers = [pid for pid in running if is_program(pid, MYSQLD)]
        return servers[0] if len(servers) == 1 else None
    return server if is_program(server, MYSQLD) else None


def is_program(pid: int, names: set[str]) -> bool:
    try:
        return (PROC / str(pid) / "comm").read_text().strip() in names
    except OSError:
        return False


def stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command's name: state, ppid, ..., utime at 11 (see proc(5))."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def resident(pid: int) -> int | None:
    """Return the resident memory of a process in bytes."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
    except OSError:
        return None


def process_cpu(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK
