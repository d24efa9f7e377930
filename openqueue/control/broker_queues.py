"""Queues as their brokers see them: messages, consumers, and how far those are behind."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from openqueue import runtimes
from openqueue.conf import config
from openqueue.control.health import PATIENCE, carries, said_by
from openqueue.control.probes import Probes
from openqueue.runtimes.base import QueueStats


class Told(NamedTuple):
    """What a broker said of its queues, as far as it came."""

    stats: Mapping[str, QueueStats]
    said: str = ""


probes: Final[Probes[Told]] = Probes("queues")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerQueue:
    """One queue at its broker."""

    name: str
    runtime: str
    stats: QueueStats | None
    """None: the broker did not tell."""
    said: str
    """What it said instead; empty: nothing in time."""


def has_broker(alias: str) -> bool:
    """Tell whether there is a broker to ask about queues of a runtime of the settings."""
    return alias in config.runtimes and carries(alias)


def read(places: Sequence[tuple[str, str]], *, patience: float = PATIENCE) -> list[BrokerQueue]:
    """Ask the brokers of these queues, all at the same time. It takes ``patience`` seconds at most, and never raises.

    places: name and runtime of each; those whose runtime has no broker are left out.
    """
    until = time.monotonic() + patience
    by_runtime: dict[str, list[str]] = {}
    for name, alias in places:
        by_runtime.setdefault(alias, []).append(name)
    asked = {
        alias: probes.start((alias, *names), partial(_ask, alias, names))
        for alias, names in by_runtime.items()
        if has_broker(alias)
    }
    told = {alias: probe.wait(until) or Told({}) for alias, probe in asked.items()}
    return [
        BrokerQueue(name=name, runtime=alias, stats=told[alias].stats.get(name), said=told[alias].said)
        for name, alias in places
        if alias in told
    ]


def _ask(alias: str, names: Sequence[str]) -> Told:
    """Ask until it fails: a broker that is down must not cost its time limit for every queue."""
    found: dict[str, QueueStats] = {}
    try:
        runtime = runtimes.get(alias)
        for name in names:
            found[name] = runtime.inspect(name)
    except Exception as error:  # whatever a broker's client raises
        return Told(found, said_by(error))
    return Told(found)
