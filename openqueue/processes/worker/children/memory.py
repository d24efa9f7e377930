"""How much memory a process takes, and how much more it may."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 where the system does not tell (see proc(5))."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def limit(size: int | None) -> None:
    """Bound the private memory of this process from now on; None lifts the bound.

    RLIMIT_DATA counts what may be written to (heap, private mappings) and not, as RLIMIT_AS does, what is only
    reserved: the address space of a program with threads is many times what it uses. Linux 4.7 and later; see
    setrlimit(2).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if size is None else size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
