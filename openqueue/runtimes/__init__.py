"""The runtimes of this process, by alias, as Django keeps its caches."""

from __future__ import annotations

import threading
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from openqueue.conf import config
from openqueue.runtimes.base import Runtime

EXTRAS: Final = {
    "confluent_kafka": "kafka-confluent",
    "kafka": "kafka",
    "pika": "rabbitmq",
    "redis": "redis",
}
"""What to install for each client that is missing."""
_made: dict[str, Runtime] = {}
_lock = threading.RLock()


def get(alias: str) -> Runtime:
    """Return the runtime of an alias in OPENQUEUE["RUNTIMES"], made at its first use.

    Raises:
        ImproperlyConfigured: no such alias, or its BACKEND cannot be imported or refuses its OPTIONS.
    """
    runtime = _made.get(alias)
    if runtime is None:
        with _lock:
            runtime = _made.get(alias) or _made.setdefault(alias, make(alias))
    return runtime


def make(alias: str) -> Runtime:
    entry = config.runtimes.get(alias)
    if entry is None:
        raise ImproperlyConfigured(
            f"OPENQUEUE['RUNTIMES'] has no {alias!r}. Known: {', '.join(config.runtimes)}."
        )
    try:
        kind = import_string(entry.backend)
        return kind(alias, **entry.options)  # type: ignore[no-any-return]  # named by the setting
    except (ImportError, TypeError, ValueError) as error:
        extra = EXTRAS.get((getattr(error, "name", None) or "").partition(".")[0])
        said = f'its client is not installed: pip install "openqueue[{extra}]"' if extra else error
        raise ImproperlyConfigured(f"OPENQUEUE['RUNTIMES'][{alias!r}]: {entry.backend}: {said}") from error


def close_all() -> None:
    """Close every runtime that was made."""
    with _lock:
        while _made:
            _made.popitem()[1].close()


def forget(*, setting: str, **_: Any) -> None:
    """Make runtimes anew when a test changes the setting."""
    if setting == "OPENQUEUE":
        close_all()


setting_changed.connect(forget)
