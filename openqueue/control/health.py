"""The runtimes as one question: does each answer, how fast, what is it, what can it do, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Final, NamedTuple

from openqueue import runtimes
from openqueue.conf import config
from openqueue.control.doctor import brokers
from openqueue.control.findings import Finding
from openqueue.control.probes import Probes
from openqueue.runtimes.base import BrokerFacts, Capabilities, Describes
from openqueue.wording import say as _

PATIENCE: Final = 2.5
"""Seconds for all runtimes together: their own limit is 2 s."""
WHY_NOT: Final[Mapping[str, str]] = {
    "delayed": _("Its runs cannot be kept for later."),
    "retries": _("Its runs cannot be tried again."),
    "flows": _("Runs on it cannot wait for each other."),
    "schedules": _("No schedule makes runs for it."),
    "repeatable_jobs": _("No schedule makes runs for it."),
    "job_logs": _("What its runs log is not kept."),
    "job_progress": _("What its runs say of their progress is not kept."),
    "inspect_jobs": _("Its waiting runs cannot be looked at one by one."),
    "priorities": _("Its broker hands messages out in the order in which they came."),
    "pause_resume": _("Its queues cannot be paused."),
    "queue_order": _(
        "It receives from all queues at once: workers cannot serve them in an order or by weights."
    ),
    "depth": _("The outbox is the queue, or the broker does not tell how many messages wait."),
    "unacked": _("It does not tell how many messages are being worked on."),
    "lag": _("It has no log of which consumers could be behind."),
    "dead_letter": _("It has no place for messages that nobody can read; the table of dead letters has."),
    "replay": _("It forgets messages once they are received."),
    "ahead": _("It takes messages only when they are due; OpenQueue keeps them until then."),
    "sets_aside": _("A message without room for its task goes back to the outbox for a second."),
}
"""What a capability that is missing means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityFacts:
    """One thing that a runtime can do, or cannot."""

    name: str
    value: str
    """By what means: native, storage, emulated, queue, worker, or yes; "no"."""
    why: str
    """What it means that it cannot; empty where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeReport:
    """One runtime of the settings."""

    alias: str
    backend: str
    ok: bool
    detail: str
    """What it said, without credentials."""
    latency: float | None
    """Seconds until it answered; None: it did not."""
    software: str
    version: str
    """Of its server; empty where it does not tell."""
    facts: Mapping[str, Any]
    """How its server is set up."""
    capabilities: Sequence[CapabilityFacts]
    findings: Sequence[Finding]
    """What the doctor says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """All runtimes; healthy when each answers and nothing graver than a warning is found."""

    healthy: bool
    runtimes: Sequence[RuntimeReport]


class Answer(NamedTuple):
    """What came of asking one runtime."""

    ok: bool
    detail: str
    latency: float | None = None
    told: BrokerFacts | None = None
    findings: Sequence[Finding] = ()


probes: Final[Probes[Answer]] = Probes("health")


def read(*, patience: float = PATIENCE) -> HealthReport:
    """Ask every runtime at the same time. It takes ``patience`` seconds at most, and never raises for what it asks."""
    until = time.monotonic() + patience
    carriers = {alias for alias in config.runtimes if carries(alias)}
    asking = {
        alias: probes.start(alias, partial(asked, alias)) for alias in config.runtimes if alias in carriers
    }
    # The database is asked on this thread's own connection: it is the one that everything else here needs.
    here = {alias: asked(alias) for alias in config.runtimes if alias not in carriers}
    reports = []
    for alias, entry in config.runtimes.items():
        answer = here.get(alias)
        if answer is None:
            probe = asking[alias]
            answer = probe.wait(until) or Answer(False, f"No answer for {probe.age:.1f} s.")
        reports.append(_report(alias, entry.backend, answer))
    grave = any(finding.level == "error" for report in reports for finding in report.findings)
    return HealthReport(healthy=all(report.ok for report in reports) and not grave, runtimes=reports)


def asked(alias: str) -> Answer:
    """Ask one runtime; whatever its client raises is the answer."""
    began = time.monotonic()
    try:
        runtime = runtimes.get(alias)
        health = runtime.health()
    except Exception as error:
        return Answer(False, said_by(error))
    took = time.monotonic() - began
    if not health.ok:
        return Answer(False, health.detail)
    if not isinstance(runtime, Describes):
        return Answer(True, health.detail, took)
    try:
        told = runtime.configuration()
    except Exception as error:  # as above: it answers, and does not tell more
        detail = f"{health.detail} It does not describe itself: {said_by(error)}".strip()
        return Answer(True, detail, took)
    found = [*brokers.judge(alias, told), *brokers.judge_log(alias, told, workers={})]
    return Answer(True, health.detail, took, told, found)


def carries(alias: str) -> bool:
    """Tell whether a runtime has a broker; of one that cannot be made, it has: asking it says why."""
    try:
        return runtimes.get(alias).carries_messages
    except Exception:  # whatever its making raises
        return True


def said_by(error: Exception) -> str:
    """Return an error in one line of sensible length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def _report(alias: str, backend: str, answer: Answer) -> RuntimeReport:
    ok, detail, latency, told, findings = answer
    if not ok:
        findings = [
            Finding(
                id="runtime",
                subject=f"runtime {alias}",
                message=_("It does not answer: {detail}", detail=detail),
                remedy=_(
                    "Nothing is lost: runs wait in the database. Bring the broker back, or mend its OPTIONS."
                ),
            )
        ]
    return RuntimeReport(
        alias=alias,
        backend=backend,
        ok=ok,
        detail=detail,
        latency=latency,
        software=told.software if told else "",
        version=told.version if told else "",
        facts=asdict(told) if told else {},
        capabilities=capabilities(alias),
        findings=findings,
    )


def capabilities(alias: str) -> list[CapabilityFacts]:
    """Return what a runtime can do, and what it means where it cannot; nothing of one that cannot be made."""
    try:
        promised: Capabilities = runtimes.get(alias).capabilities
    except Exception:  # its report says why
        return []
    found = []
    for field in fields(promised):
        value = getattr(promised, field.name)
        told = (
            "no"
            if not value
            else "yes"
            if value is True
            else f"{value:g} s"
            if isinstance(value, float)
            else value
        )
        found.append(CapabilityFacts(name=field.name, value=told, why="" if value else WHY_NOT[field.name]))
    return found
