"""How the server is set up, in the words of the contract."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from openqueue.runtimes.base import BrokerFacts
from openqueue.runtimes.rabbitmq.topology import Topology

OLDEST: Final = (3, 10)
"""The first that this runtime is tested with."""


def read(
    server: Mapping[str, Any],
    topology: Topology,
    *,
    refuses: str,
    nodes: Sequence[Mapping[str, Any]] = (),
    queues: Mapping[str, Mapping[str, Any]] | None = None,
) -> BrokerFacts:
    """Put together what the server said at the connection and what the management API tells, if it does."""
    version = text(server.get("version"))
    here = [node for node in nodes if "mem_used" in node]
    return BrokerFacts(
        software=text(server.get("product")).lower() or "rabbitmq",
        version=version,
        persistence=(topology.options.queue_type, "durable"),
        used_memory=max((node["mem_used"] for node in here), default=None),
        max_memory=min((node["mem_limit"] for node in here), default=None),
        refuses_writes=refuses,
        cpu_seconds=cpu_seconds(nodes, topology.options.nodes),
        outdated=outdated(version),
        differing=tuple(differing(topology, queues or {})),
        left_over=tuple(left_over(topology, queues or {})),
    )


def outdated(version: str) -> str:
    parts = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    return "3.10 is the oldest that this runtime is made for" if tuple(parts) < OLDEST and parts else ""


def differing(topology: Topology, queues: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield each queue of the namespace that was declared otherwise."""
    special = {lane.name: topology.delay_arguments(lane) for lane in topology.delay_lanes}
    special[topology.rejected] = topology.rejected_arguments
    unused = left_over(topology, queues)
    for name, queue in sorted(queues.items()):
        if name.startswith(f"{topology.exchange}.") and name not in unused:
            wanted = special.get(name, topology.arguments)
            found = queue.get("arguments", {})
            names = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
            if names or not queue.get("durable", True):
                yield f"{name!r} ({', '.join(names) or 'not durable'})"


def left_over(topology: Topology, queues: Iterable[str]) -> list[str]:
    """Return the delay lanes that the option names no more."""
    used = {lane.name for lane in topology.delay_lanes}
    prefix = topology.delay_lane_name("")
    lanes = (name for name in queues if name.startswith(prefix) and name.removeprefix(prefix).isdecimal())
    return sorted(set(lanes) - used)


def cpu_seconds(nodes: Sequence[Mapping[str, Any]], places: Sequence[tuple[str, int]]) -> float | None:
    """Return what the one node has used since its start, by proc(5); None: there are several, or it is elsewhere."""
    if len(nodes) != 1 or len(places) != 1 or not is_here(places[0][0]):
        return None
    try:
        fields = Path(f"/proc/{int(nodes[0]['os_pid'])}/stat").read_text().rpartition(")")[2].split()
    except (OSError, KeyError, ValueError):
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_here(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1", socket.gethostname()}


def text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
