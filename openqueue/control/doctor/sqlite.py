"""What SQLite can be found with: its version, how it writes, and what lies fallow in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.db import connections

from openqueue.checks import SQLITE_OPTIONS
from openqueue.control.findings import Finding
from openqueue.store import store

OLDEST: Final = (3, 37)
FALLOW: Final = 0.5
"""Share of the file."""
LARGE: Final = 100 * 2**20
PRAGMAS: Final = ("journal_mode", "synchronous", "busy_timeout", "page_count", "page_size", "freelist_count")


def findings(facts: dict[str, Any]) -> Iterator[Finding]:
    """Ask for a handful of pragmas."""
    connection: Any = connections[store().alias]
    with connection.cursor() as cursor:
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
            facts[pragma] = cursor.fetchone()[0]
    facts["version"] = ".".join(map(str, connection.Database.sqlite_version_info))
    yield from judge(facts, version=connection.Database.sqlite_version_info)


def judge(facts: Mapping[str, Any], *, version: tuple[int, ...]) -> Iterator[Finding]:
    """Judge what the pragmas told."""
    alias = store().alias
    subject = f"database {alias}"
    if version < OLDEST:
        yield Finding(
            id="database_version",
            subject=subject,
            message=f"SQLite {facts['version']} is older than 3.37.",
            remedy="Use a Python that brings a newer SQLite.",
        )
    if facts["journal_mode"] not in {"wal", "memory"}:
        yield Finding(
            id="journal_mode",
            level="warning",
            subject=subject,
            message=f"Its journal mode is {facts['journal_mode']}: readers and the writer wait for each other.",
            remedy=f'Set DATABASES[{alias!r}]["OPTIONS"] = {SQLITE_OPTIONS}',
        )
    if facts["synchronous"] == 0:
        yield Finding(
            id="not_durable",
            level="warning",
            subject=subject,
            message="PRAGMA synchronous is OFF: a crash of the host may cost the whole database.",
            remedy="Set it to NORMAL in the init_command of the OPTIONS.",
        )
    if facts["busy_timeout"] < 5_000:
        yield Finding(
            id="busy_timeout",
            level="warning",
            subject=subject,
            message=f"Writers wait {facts['busy_timeout'] / 1000:g} s for each other, then fail.",
            remedy='Set "timeout": 20 in the OPTIONS.',
        )
    size = facts["page_count"] * facts["page_size"]
    if size > LARGE and facts["freelist_count"] > FALLOW * facts["page_count"]:
        yield Finding(
            id="bloat",
            level="info",
            subject=subject,
            message=f"More than half of its {size / 2**20:.0f} MiB are free pages.",
            remedy="New rows use them again. VACUUM gives them back, in a moment in which nobody writes.",
        )
