"""How the cluster and the topics of a namespace are set up, in the words of the contract."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType

from openqueue.runtimes.base import BrokerFacts
from openqueue.runtimes.kafka.cluster import Cluster
from openqueue.runtimes.kafka.refusals import KafkaFailed
from openqueue.runtimes.kafka.topics import DEAD_LETTERS

OLDEST: Final = (2, 8)
"""Since then a topic has an id, by which one that was made again is told from what it was."""
LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
PROC: Final = Path("/proc")
LISTENS: Final = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def look(cluster: Cluster, *, prefix: str) -> BrokerFacts:
    """Ask the cluster for itself and the topics whose names begin so.

    Raises:
        KafkaFailed: it cannot be asked.
    """
    told = cluster.ask(lambda admin: admin.describe_cluster())
    names = [name for name in cluster.ask(lambda admin: admin.list_topics()) if name.startswith(prefix)]
    topics = cluster.topics(names) if names else {}
    configs = configs_of(cluster, names)
    version = cluster.version(told["brokers"][0]["broker_id"])
    copies = [topic.replication for topic in topics.values()]
    return BrokerFacts(
        software="kafka",
        version=".".join(map(str, version)),
        outdated="" if version >= OLDEST else f"OpenQueue needs {'.'.join(map(str, OLDEST))} or newer",
        persistence=("log",),
        nodes=len(told["brokers"]),
        copies=min(copies, default=None),
        copies_required=least(configs, "min.insync.replicas"),
        retention=retention(configs),
        partitions={
            name.removeprefix(prefix): len(topic.partitions)
            for name, topic in topics.items()
            if not name.endswith(DEAD_LETTERS)
        },
        cpu_seconds=cpu_seconds(cluster.options.brokers),
    )


def configs_of(cluster: Cluster, names: list[str]) -> list[Mapping[str, str]]:
    """Return the settings of topics; none where this user may not look at them."""
    if not names:
        return []
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    try:
        told = cluster.ask(lambda admin: admin.describe_configs(wanted, config_filter="all"))
    except KafkaFailed:
        return []
    return [
        {name: str(entry["value"]) for name, entry in one.items() if entry.get("value") is not None}
        for one in topics_in(told)
    ]


def topics_in(told: Any) -> list[Mapping[str, Mapping[str, Any]]]:
    return list(told.get("topic", {}).values())


def least(configs: list[Mapping[str, str]], name: str) -> int | None:
    return min((int(one[name]) for one in configs if name in one), default=None)


def retention(configs: list[Mapping[str, str]]) -> float | None:
    """Return the shortest time in seconds after which records are deleted; None: never, or not known."""
    times = [
        int(one.get("retention.ms", -1)) for one in configs if "delete" in one.get("cleanup.policy", "delete")
    ]
    return min((time / 1000 for time in times if time >= 0), default=None)


def cpu_seconds(brokers: tuple[str, ...]) -> float | None:
    """Return what the one broker has used since its start, when it is a process of this machine that we may look at."""
    if len(brokers) != 1 or brokers[0].rpartition(":")[0].strip("[]") not in LOOPBACK:
        return None
    with suppress(OSError, ValueError, IndexError):
        pid = listener(int(brokers[0].rpartition(":")[2]))
        if pid is not None:
            fields = (PROC / pid / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None


def listener(port: int) -> str | None:
    """Return the process that listens on a port, by proc(5)."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    for process in PROC.iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if any(os.readlink(one) in sockets for one in (process / "fd").iterdir()):
                    return process.name
    return None
