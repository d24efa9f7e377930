"""CPU and memory by the operating system's own accounting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from django.db import connections

from openqueue.conf import config

TICK: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
PROC: Final = Path("/proc")


def server_cpu() -> float | None:
    """Return the CPU seconds of the database server's processes so far; None when it is not on this machine.

    The postmaster's own, what it has inherited from backends that ended, and those that live.
    """
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


def find_postmaster() -> int | None:
    connection = connections[config.database]
    if connection.vendor != "postgresql" or not PROC.is_dir():
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = int(cursor.fetchone()[0])
    try:
        if (PROC / str(backend) / "comm").read_text().strip() not in {"postgres", "postmaster"}:
            return None
        return int(stat(backend)[1])
    except OSError:
        return None


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
