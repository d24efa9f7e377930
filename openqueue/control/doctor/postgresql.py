"""What PostgreSQL can be found with: its version and settings, dead rows, and what keeps them there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.apps import apps
from django.db import connections

from openqueue.control.findings import Finding
from openqueue.store import store
from openqueue.store.statements import statement

OLDEST: Final = 150_000
"""server_version_num of PostgreSQL 15."""
FULL: Final = 0.9
"""Of max_connections."""
LONG: Final = 600.0
"""Seconds that a transaction may stay open: no row that died since can be cleaned up."""
DEAD: Final = 20_000
"""Dead rows that a hot table may hold, unless it holds as many live ones."""
SPREAD: Final = 256 * 2**20
"""Bytes that a hot table may have kept for next to no rows."""
FEW: Final = 10_000
UPDATES: Final = 100_000
"""Updates after which it is judged how many of them touched no index."""
IN_PLACE: Final = 0.5
HOT: Final = ("openqueue_outbox", "openqueue_claim")
PARAMETERS: Final = {
    "openqueue_run": ("fillfactor", "fillfactor = 50"),
    "openqueue_outbox": ("autovacuum_vacuum_scale_factor", "autovacuum_vacuum_scale_factor = 0.02"),
    "openqueue_claim": ("autovacuum_vacuum_scale_factor", "autovacuum_vacuum_scale_factor = 0.02"),
}
"""What migration 0002 set, and the words that set it again."""


def findings(facts: dict[str, Any]) -> Iterator[Finding]:
    """Ask the server twice, whatever the size of the tables."""
    with connections[store().alias].cursor() as cursor:
        cursor.execute(statement("postgresql", "server"))
        (server,) = rows(cursor)
        tables = [model._meta.db_table for model in apps.get_app_config("openqueue").get_models()]
        cursor.execute(statement("postgresql", "tables"), {"tables": tables})
        facts |= server | {"tables": {table.pop("name"): table for table in rows(cursor)}}
    yield from of_server(server)
    for name, table in facts["tables"].items():
        yield from of_table(name, table)


def rows(cursor: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def of_server(server: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge version, isolation, durability, cleaning up, connections."""
    subject = f"database {store().alias}"
    if server["version_number"] < OLDEST:
        yield Finding(
            id="database_version",
            subject=subject,
            message=f"PostgreSQL {server['version']} is older than 15.",
            remedy="Upgrade the server: OpenQueue is tested on 15 and later.",
        )
    if server["standby"]:
        yield Finding(
            id="standby",
            subject=subject,
            message="The server is a standby, which takes no writes.",
            remedy="Point DATABASES at the primary.",
        )
    if server["isolation"] != "read committed":
        yield Finding(
            id="isolation",
            subject=subject,
            message=f"Transactions are {server['isolation']}: claims and settles would fail on each other.",
            remedy="Remove isolation_level from the OPTIONS, or default_transaction_isolation from the role.",
        )
    if not server["fsync"]:
        yield Finding(
            id="not_durable",
            subject=subject,
            message="fsync is off: a crash of the host may cost the whole database.",
            remedy="Switch fsync on.",
        )
    elif server["synchronous_commit"] == "off":
        yield Finding(
            id="not_durable",
            level="warning",
            subject=subject,
            message="synchronous_commit is off: a crash of the server forgets the last commits, runs among them.",
            remedy="Switch it on for OpenQueue's database, unless that may be.",
        )
    if not server["autovacuum"]:
        yield Finding(
            id="autovacuum",
            subject=subject,
            message="Autovacuum is off: the small hot tables grow without end.",
            remedy="Switch on autovacuum and track_counts.",
        )
    if server["connections"] > FULL * server["max_connections"]:
        yield Finding(
            id="connections",
            level="warning",
            subject=subject,
            message=f"{server['connections']} of {server['max_connections']} connections are in use.",
            remedy="Use fewer slots or a pooler, or raise max_connections; see docs: deploy, how many.",
        )
    if server["longest_transaction"] is not None and server["longest_transaction"] > LONG:
        yield Finding(
            id="long_transaction",
            level="warning",
            subject=subject,
            message=f"A transaction has been open for {server['longest_transaction'] / 60:.0f} min: dead rows stay.",
            remedy="Find it in pg_stat_activity by xact_start, and end it. idle_in_transaction_session_timeout helps.",
        )


def of_table(name: str, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge one table: its parameters, its dead rows, how its rows are updated."""
    subject = f"table {name}"
    for index in table["broken"] or ():
        yield Finding(
            id="missing_index",
            subject=subject,
            message=f"The index {index} is not valid: its making was interrupted.",
            remedy=f"REINDEX INDEX CONCURRENTLY {index};",
        )
    options = [option.partition("=") for option in table["options"]]
    if ("autovacuum_enabled", "=", "false") in options:
        yield Finding(
            id="autovacuum",
            subject=subject,
            message="Autovacuum is off for this table.",
            remedy=f"ALTER TABLE {name} RESET (autovacuum_enabled);",
        )
    parameter, words = PARAMETERS.get(name, ("", ""))
    if parameter and parameter not in {option for option, _, _ in options}:
        yield Finding(
            id="storage_parameters",
            level="warning",
            subject=subject,
            message=f"It lost its {parameter}, which a migration had set: it will grow, or every claim be slower.",
            remedy=f"ALTER TABLE {name} SET ({words});",
        )
    if name in HOT and table["dead"] > max(DEAD, table["live"]):
        cleaned = "never" if table["vacuumed"] is None else f"{table['vacuumed'] / 60:.0f} min ago"
        yield Finding(
            id="bloat",
            level="warning",
            subject=subject,
            message=f"{table['dead']} dead rows beside {table['live']} live ones; vacuumed: {cleaned}.",
            remedy="See that no transaction stays open for long and that autovacuum keeps up; VACUUM it now.",
        )
    elif name in HOT and table["bytes"] > SPREAD and table["live"] < FEW:
        yield Finding(
            id="bloat",
            level="warning",
            subject=subject,
            message=f"{table['live']} rows are spread over {table['bytes'] / 2**20:.0f} MiB.",
            remedy=f"VACUUM FULL {name}; it takes a moment in which nothing is triggered or claimed.",
        )
    if name == "openqueue_run" and table["updated"] > UPDATES:
        share = table["updated_in_place"] / table["updated"]
        if share < IN_PLACE:
            yield Finding(
                id="heap_only",
                level="warning",
                subject=subject,
                message=f"Only {share:.0%} of updates leave the indexes alone.",
                remedy="Drop indexes that are not OpenQueue's own from this table, and look at its fillfactor.",
            )
