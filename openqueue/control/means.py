"""What the runtimes of this project can do, as far as acts depend on it."""

from __future__ import annotations

from openqueue import runtimes
from openqueue.conf import config


def delays(runtime: str | None = None) -> bool:
    """Tell whether a runtime has moments to come; None: whether any of the project's has."""
    known = config.runtimes if runtime is None else [runtime] if runtime in config.runtimes else []
    return any(runtimes.get(alias).capabilities.delayed for alias in known)


def keeps_priorities(queue: str) -> bool:
    """Tell whether the runtime of a queue serves higher priorities first."""
    return bool(runtimes.get(config.runtime_of(queue).alias).capabilities.priorities)
