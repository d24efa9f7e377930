"""What MariaDB and MySQL can be found with: version, isolation, engine, character set, durability, packets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.apps import apps
from django.db import DatabaseError, connections

from openqueue.control.findings import Finding
from openqueue.store import store

OLDEST_MARIADB: Final = (10, 11)
OLDEST_MYSQL: Final = (8, 0, 19)
FULL: Final = 0.9
"""Of max_connections."""
SMALLEST_PACKET: Final = 4 * 2**20
LONG: Final = 600.0
"""Seconds that a transaction may stay open: what was deleted since cannot be purged."""
VARIABLES: Final = (
    "innodb_flush_log_at_trx_commit", "max_allowed_packet", "max_connections", "read_only", "sql_mode", "version",
)  # fmt: skip


def findings(facts: dict[str, Any]) -> Iterator[Finding]:
    """Ask for a handful of variables, and for the tables' engines and character sets."""
    connection: Any = connections[store().alias]
    tables = [model._meta.db_table for model in apps.get_app_config("openqueue").get_models()]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name in VARIABLES)}")
        facts |= dict(zip(VARIABLES, cursor.fetchone(), strict=True))
        cursor.execute("SHOW STATUS LIKE 'Threads_connected'")
        facts["connections"] = int(cursor.fetchone()[1])
        facts["longest_transaction"] = longest_transaction(cursor)
        cursor.execute(
            """
            SELECT table_name, engine, table_collation FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name IN %s
            """,
            [tables],
        )
        facts["tables"] = {
            name: {"engine": engine, "collation": collation} for name, engine, collation in cursor
        }
    facts["isolation"] = connection.isolation_level or "repeatable read"
    oldest = OLDEST_MARIADB if connection.mysql_is_mariadb else OLDEST_MYSQL
    yield from of_server(facts, version=tuple(connection.mysql_version), oldest=oldest)
    yield from of_tables(facts["tables"])


def longest_transaction(cursor: Any) -> int | None:
    """Return its age in seconds; None where nobody may look who has not the privilege PROCESS."""
    cursor.execute(
        "SET @openqueue_zone = @@session.time_zone, time_zone = 'SYSTEM'"
    )  # as trx_started is told
    try:
        cursor.execute(
            "SELECT MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())) FROM information_schema.innodb_trx"
        )
        (age,) = cursor.fetchone()
    except DatabaseError:
        return None
    finally:
        cursor.execute("SET time_zone = @openqueue_zone")
    return age  # type: ignore[no-any-return]  # a driver's cursor


def of_server(
    facts: Mapping[str, Any], *, version: tuple[int, ...], oldest: tuple[int, ...]
) -> Iterator[Finding]:
    """Judge version, isolation, durability, connections, packets."""
    subject = f"database {store().alias}"
    if version < oldest:
        yield Finding(
            id="database_version",
            subject=subject,
            message=f"{facts['version']} is older than {'.'.join(map(str, oldest))}.",
            remedy="Upgrade the server: OpenQueue is tested on MariaDB 10.11 and later, and MySQL 8 by the same code.",
        )
    if facts["isolation"] != "read committed":
        yield Finding(
            id="isolation",
            level="warning",
            subject=subject,
            message=f"Transactions are {facts['isolation']}: triggers in them lock the gaps around their rows.",
            remedy="Set isolation_level to 'read committed' in the OPTIONS, which is Django's default.",
        )
    if facts["read_only"]:
        yield Finding(
            id="standby",
            subject=subject,
            message="The server is read-only.",
            remedy="Point DATABASES at the primary.",
        )
    if facts["innodb_flush_log_at_trx_commit"] != 1:
        yield Finding(
            id="not_durable",
            level="warning",
            subject=subject,
            message="innodb_flush_log_at_trx_commit is not 1: a crash forgets the last commits, runs among them.",
            remedy="Set it to 1 for OpenQueue's database, unless that may be.",
        )
    if "STRICT" not in facts["sql_mode"].upper():
        yield Finding(
            id="not_strict",
            subject=subject,
            message="sql_mode is not strict: values that do not fit are cut off without a word.",
            remedy="Add STRICT_TRANS_TABLES to sql_mode.",
        )
    if facts["max_allowed_packet"] < SMALLEST_PACKET:
        yield Finding(
            id="packet",
            subject=subject,
            message=f"max_allowed_packet is {facts['max_allowed_packet'] / 2**20:.1f} MiB: large batches do not fit.",
            remedy=f"Set it to {SMALLEST_PACKET // 2**20} MiB or more, in the server and in the client's OPTIONS.",
        )
    if facts["connections"] > FULL * facts["max_connections"]:
        yield Finding(
            id="connections",
            level="warning",
            subject=subject,
            message=f"{facts['connections']} of {facts['max_connections']} connections are in use.",
            remedy="Use fewer slots, or raise max_connections; see docs: deploy, how many.",
        )
    if facts["longest_transaction"] is not None and facts["longest_transaction"] > LONG:
        yield Finding(
            id="long_transaction",
            level="warning",
            subject=subject,
            message=f"A transaction has been open for {facts['longest_transaction'] / 60:.0f} min: dead rows stay.",
            remedy="Find it in information_schema.innodb_trx, and end it.",
        )


def of_tables(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Judge engines and character sets."""
    for name, table in sorted(tables.items()):
        if table["engine"] != "InnoDB":
            yield Finding(
                id="engine",
                subject=f"table {name}",
                message=f"Its engine is {table['engine']}, which knows no transactions or no row locks.",
                remedy=f"ALTER TABLE {name} ENGINE = InnoDB;",
            )
        if not str(table["collation"]).startswith("utf8mb4"):
            yield Finding(
                id="charset",
                subject=f"table {name}",
                message=f"Its collation is {table['collation']}: text outside of it is refused or spoilt.",
                remedy=f"ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4;",
            )
