"""One examination: part after part, each on its own, so that one that fails hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import Error

from openqueue import conf
from openqueue.control import overview
from openqueue.control.doctor import brokers, clocks, database, operation, settings
from openqueue.control.findings import Finding, Level
from openqueue.control.overview import Overview
from openqueue.store import store

LIMIT: Final = timedelta(seconds=5)
"""For one statement."""
ORDER: Final[tuple[Level, ...]] = ("error", "warning", "info")


@dataclass(slots=True)
class Examination:
    """What was looked at, and what was found."""

    at: datetime | None = None
    """The database's clock."""
    examined: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """What the parts saw, by part."""
    findings: list[Finding] = field(default_factory=list)
    """The gravest first."""

    @property
    def counts(self) -> Mapping[Level, int]:
        """How many findings there are of each level."""
        return {level: sum(one.level == level for one in self.findings) for level in ORDER}

    def look(self, part: str, at: Callable[[dict[str, Any]], Iterable[Finding]]) -> None:
        """Have one part examined; what keeps it from that is a finding."""
        facts: dict[str, Any] = {}
        try:
            with store().bounded(LIMIT):
                self.findings += at(facts)
        except (Error, ImproperlyConfigured) as error:
            self.findings.append(not_examined(part, error))
        else:
            self.examined.append(part)
        if facts:
            self.facts[part] = facts

    def close(self) -> Examination:
        self.findings.sort(key=lambda one: ORDER.index(one.level))
        return self


def examine() -> Examination:
    """Look at settings, database, brokers, clocks and the work. Never raises for what it looks at."""
    seen = Examination()
    seen.findings += settings.findings()
    seen.examined.append("settings")
    if conf.problems():
        return seen.close()  # what they would have us look at is not known
    view = overview_of()
    seen.at = view.at
    seen.findings += view.findings
    if view.database.ok:
        seen.examined.append("overview")
        seen.look("database", database.findings)
        seen.look("clocks", clocks.findings)
        seen.look("work", lambda facts: operation.findings(view, facts))
    for runtime in view.runtimes:
        if runtime.ok:
            look_at_broker(seen, runtime.alias, view)
    return seen.close()


def overview_of() -> Overview:
    try:
        with store().bounded(LIMIT):
            return overview.read()
    except (Error, ImproperlyConfigured):
        return overview.read()  # it says by itself that the database is away


def look_at_broker(seen: Examination, alias: str, view: Overview) -> None:
    part, facts = f"runtime {alias}", dict[str, Any]()
    workers = {queue.name: queue.workers for queue in view.queues if queue.runtime == alias}
    try:
        seen.findings += brokers.examine(alias, facts, workers=workers)
    except Exception as error:  # whatever a broker's client raises is the answer
        seen.findings.append(not_examined(part, error))
        return
    seen.examined.append(part)
    if facts:
        seen.facts[part] = facts


def not_examined(part: str, error: Exception) -> Finding:
    said = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return Finding(
        id="not_examined",
        level="warning",
        subject=part,
        message=f"It could not be looked at: {said}",
        remedy=f"Statements may take {LIMIT.seconds} s here. Look again when the load is lower, or mend what it says.",
    )


def exit_code(findings: Sequence[Finding], *, fail_on: Level) -> int:
    """Return 2 for an error, 1 for a lesser finding that the caller wants to fail on, else 0."""
    levels = {one.level for one in findings}
    if "error" in levels:
        return 2
    return int(bool(levels & set(ORDER[: ORDER.index(fail_on) + 1])))
