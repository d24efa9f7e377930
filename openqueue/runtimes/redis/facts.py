"""What INFO says of a server, in the words of the contract."""

from __future__ import annotations

from openqueue.runtimes.base import BrokerFacts


def read(info: bytes) -> BrokerFacts:
    """Read the answer to INFO."""
    told = dict(line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    return BrokerFacts(
        software="valkey" if "valkey_version" in told else "redis",
        version=told.get("valkey_version", told.get("redis_version", "")),
        role=told.get("role"),
        persistence=persistence(told),
        eviction_policy=told.get("maxmemory_policy"),
        used_memory=whole(told.get("used_memory")),
        max_memory=whole(told.get("maxmemory")),
        evicted=whole(told.get("evicted_keys")),
        refuses_writes=refusal(told),
        cpu_seconds=sum(
            float(told.get(f"used_cpu_{kind}", 0))
            for kind in ("sys", "user", "sys_children", "user_children")
        ),
    )


def persistence(told: dict[str, str]) -> tuple[str, ...]:
    """Tell what is kept; snapshots show only by their having happened."""
    aof = told.get("aof_enabled") == "1"
    rdb = told.get("rdb_saves", "0") != "0"
    return tuple(name for name, on in (("aof", aof), ("rdb", rdb)) if on)


def refusal(told: dict[str, str]) -> str:
    if told.get("loading") == "1":
        return "it is loading its data after a start"
    if told.get("rdb_last_bgsave_status") == "err":
        return "its last snapshot failed: it refuses writes if stop-writes-on-bgsave-error is on"
    if told.get("aof_last_write_status") == "err":
        return "it cannot write its append-only file"
    if told.get("role") not in {None, "master"}:
        return "it is a replica"
    return ""


def whole(text: str | None) -> int | None:
    return None if text is None else int(text)
