"""Runtimes and sweeps as the page of their health shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.template.defaultfilters import filesizeformat
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import sweeps as control
from openqueue.control.health import RuntimeReport
from openqueue.control.premises import RuntimePremises
from openqueue.control.standing import Standing
from openqueue.wording import in_language
from openqueue_workbench import wording

SWEEPS: Final[Mapping[str, tuple[Promise, Promise]]] = {
    "reap": (gettext_lazy("Reaper"), gettext_lazy("takes runs back from lost workers")),
    "schedules": (gettext_lazy("Scheduler"), gettext_lazy("makes runs of schedules that are due")),
    "due": (gettext_lazy("Due runs"), gettext_lazy("makes delayed runs ready")),
    "announce": (gettext_lazy("Announcer"), gettext_lazy("publishes what waits in the outbox")),
    "permits": (gettext_lazy("Permits"), gettext_lazy("lets runs through limits")),
    "expiry": (gettext_lazy("Expiry"), gettext_lazy("ends runs that were not started in time")),
    "flows": (gettext_lazy("Flows"), gettext_lazy("looks after flows that stand still")),
    "rollups": (gettext_lazy("Roll-ups"), gettext_lazy("counts what has ended, for charts")),
    "depths": (
        gettext_lazy("Depths"),
        gettext_lazy("counts once a minute what stands in each queue, for charts"),
    ),
    "alerts": (gettext_lazy("Alerts"), gettext_lazy("judges the rules of alerts")),
    "deliveries": (gettext_lazy("Deliveries"), gettext_lazy("sends what alerts say")),
    "retention": (gettext_lazy("Retention"), gettext_lazy("deletes what is too old")),
    "payloads": (gettext_lazy("Stored payloads"), gettext_lazy("deletes files that no run needs any more")),
}
BEHIND: Final = {"due": "no_sweep_of_due_rows", "announce": "unannounced", "schedules": "schedules_late"}
"""What is found where one of those is behind that write nothing down."""
CAPABILITIES: Final[Mapping[str, Promise]] = {
    "delayed": gettext_lazy("Delayed runs"),
    "retries": gettext_lazy("Retries"),
    "flows": gettext_lazy("Flows"),
    "schedules": gettext_lazy("Schedules"),
    "repeatable_jobs": gettext_lazy("Repeatable runs"),
    "job_logs": gettext_lazy("Logs of runs"),
    "job_progress": gettext_lazy("Progress of runs"),
    "inspect_jobs": gettext_lazy("Waiting runs can be looked at"),
    "priorities": gettext_lazy("Priorities"),
    "pause_resume": gettext_lazy("Pause and resume"),
    "queue_order": gettext_lazy("Order and weights of queues"),
    "depth": gettext_lazy("Depth"),
    "unacked": gettext_lazy("Messages being worked on"),
    "lag": gettext_lazy("Lag"),
    "dead_letter": gettext_lazy("Dead letters at the broker"),
    "replay": gettext_lazy("Replay"),
    "ahead": gettext_lazy("Messages ahead of time"),
    "sets_aside": gettext_lazy("Messages set aside"),
}
MEANS: Final[Mapping[str, Promise]] = {
    "native": gettext_lazy("built in"),
    "storage": gettext_lazy("by the database"),
    "emulated": gettext_lazy("emulated"),
    "queue": gettext_lazy("of each queue"),
    "worker": gettext_lazy("by the workers"),
    "yes": gettext_lazy("yes"),
    "no": gettext_lazy("no"),
}
FACTS: Final[Mapping[str, Promise]] = {
    "role": gettext_lazy("Role"),
    "persistence": gettext_lazy("Outlives a restart by"),
    "eviction_policy": gettext_lazy("When it is full"),
    "used_memory": gettext_lazy("Memory"),
    "max_memory": gettext_lazy("Memory at most"),
    "evicted": gettext_lazy("Thrown away so far"),
    "refuses_writes": gettext_lazy("Refuses writes"),
    "cpu_seconds": gettext_lazy("CPU time"),
    "outdated": gettext_lazy("Too old"),
    "differing": gettext_lazy("Queues that differ from the settings"),
    "left_over": gettext_lazy("Queues left over"),
    "nodes": gettext_lazy("Brokers"),
    "copies": gettext_lazy("Copies of each message"),
    "copies_required": gettext_lazy("Copies that must be in step"),
    "retention": gettext_lazy("Unread messages are deleted after"),
    "partitions": gettext_lazy("Partitions"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One kind of sweep as a row."""

    name: str
    does: str
    age: float | None
    """None: it is not written down, or never was."""
    is_late: bool
    said: str
    """In place of an age."""


def sweeps(found: Standing) -> list[SweepRow]:
    """Return every kind of sweep, and whether it keeps up."""
    patience, ids = control.patience(), {finding.id for finding in found.findings}
    anybody = min(found.sweeps.values(), default=None)
    is_gone = anybody is None or anybody > control.PATIENCE
    rows = []
    for key, (name, does) in SWEEPS.items():
        age, said = found.sweeps.get(key), ""
        if key in control.UNWRITTEN:
            is_late = is_gone or BEHIND.get(key) in ids
            said = _("behind") if BEHIND.get(key) in ids else _("every few moments")
            if is_gone:
                said = _("nobody sweeps")
        else:
            is_late = age is None or age > patience[key]
            said = _("never") if age is None else ""
        rows.append(SweepRow(name=str(name), does=str(does), age=age, is_late=is_late, said=said))
    return rows


def runtime(report: RuntimeReport, told: RuntimePremises, *, waiting: int) -> dict[str, Any]:
    """Return a runtime with what the page shows of it."""
    able = sum(fact.value != "no" for fact in report.capabilities)
    return {
        "report": report,
        "server": f"{report.software} {report.version}".strip(),
        "backend": report.backend.rpartition(".")[2],
        "tls": _tls(told),
        "options": [(name, _plain(value)) for name, value in told.options.items()],
        "facts": [
            (str(label), _fact(name, report.facts[name]))
            for name, label in FACTS.items()
            if report.facts.get(name) not in (None, "", [], (), {})
        ],
        "capabilities": [
            {
                "name": CAPABILITIES.get(fact.name, fact.name.replace("_", " ").capitalize()),
                "is_no": fact.value == "no",
                "value": MEANS.get(fact.value, fact.value),
                "why": in_language(fact.why),
            }
            for fact in report.capabilities
        ],
        "able": able,
        "waiting": waiting,
    }


def _tls(told: RuntimePremises) -> list[dict[str, Any]]:
    return [
        {
            "hosts": ", ".join(str(host) for host in way.hosts),
            "is_bad": not (way.is_encrypted and way.checks_host),
            "said": _("no: in clear")
            if not way.is_encrypted
            else _("yes")
            if way.checks_host
            else _("yes, and any certificate will do"),
        }
        for way in told.ways
    ]


def _fact(name: str, value: Any) -> str:
    if name == "max_memory" and not value:
        return _("no limit")
    if name.endswith("_memory"):
        return filesizeformat(value)
    if name in {"cpu_seconds", "retention"}:
        return wording.duration(value)
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int):
        return wording.number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return wording.NOTHING if value is None else str(value)
