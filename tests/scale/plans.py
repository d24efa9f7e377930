"""The plans that the server really executed, as its own module auto_explain tells them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections
from psycopg.errors import Diagnostic

from openqueue.store import store

T = TypeVar("T")
BIG = frozenset({f"openqueue_{name}" for name in ("run", "runevent", "runlog", "outbox", "claim")})
SETTINGS = """
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_analyze = on;
    SET auto_explain.log_timing = off;
    SET auto_explain.log_buffers = on;
    SET auto_explain.log_format = json;
    SET auto_explain.log_level = notice
"""


class Plan:
    """One executed statement: which tables it read how, how many rows that touched, how many pages."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.statement = told["Query Text"]
        self.root = told["Plan"]
        self.scans = self.scans_of(BIG)

    def scans_of(self, tables: Collection[str]) -> list[dict[str, Any]]:
        """Return where these tables were read."""
        return [
            node for node in walk(self.root) if node.get("Relation Name") in tables and "Actual Rows" in node
        ]

    @property
    def seq_scans(self) -> list[str]:
        """The big tables that were read from end to end."""
        return [node["Relation Name"] for node in self.scans if node["Node Type"] == "Seq Scan"]

    @property
    def touched(self) -> int:
        """Rows of big tables that were looked at, those thrown away included."""
        return self.touched_of(BIG)

    def touched_of(self, tables: Collection[str]) -> int:
        """Return how many rows of these tables were looked at."""
        return sum(rows(node) for node in self.scans_of(tables))

    @property
    def thrown_away(self) -> int:
        """Rows that were looked at in vain, by any scan, filter or join."""
        return sum(rows(node) - node["Actual Rows"] * node["Actual Loops"] for node in walk(self.root))

    @property
    def pages(self) -> int:
        """Buffers that were visited; a part that runs inside another is counted in the larger figure only."""
        return pages(self.root)

    def __repr__(self) -> str:
        return f"{self.statement}\n{json.dumps(self.root, indent=1)}"


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def rows(node: dict[str, Any]) -> int:
    removed = ("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")
    each = node.get("Actual Rows", 0) + sum(node.get(name, 0) for name in removed)
    return int(each * node.get("Actual Loops", 0))


def pages(node: dict[str, Any]) -> int:
    own = node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0)
    return max(own, sum(pages(child) for child in node.get("Plans", ())))


@contextmanager
def executed() -> Iterator[list[Plan]]:
    """Gather the plans of what this thread's connection executes inside the block."""
    plans: list[Plan] = []

    def hear(told: Diagnostic) -> None:
        text = told.message_primary or ""
        if text.startswith("duration:") and "plan:" in text:
            plans.append(Plan(json.loads(text.partition("plan:")[2])))

    raw = connections["default"].connection
    raw.execute("LOAD 'auto_explain'")
    raw.execute(SETTINGS)
    raw.add_notice_handler(hear)
    try:
        yield plans
    finally:
        raw.remove_notice_handler(hear)
        raw.execute("SET auto_explain.log_min_duration = -1")


def as_worker(act: Callable[[], T], *, plans: str = "auto") -> T:
    """Do something in a thread and a session like those of a worker, its prepared plans generic or custom."""
    answer: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        store().pin_plans()
        try:
            store().run(
                "flip_ready", {"room": 0, "now": None}
            )  # the first prepared statement pins the session
            connections["default"].connection.execute(f"SET plan_cache_mode = {plans}")
            answer.append(act())
        except BaseException as raised:
            error.append(raised)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if error:
        raise error[0]
    return answer[0]
