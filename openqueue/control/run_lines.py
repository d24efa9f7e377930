"""What a line of a list says of a run beside its facts: the error's head, the worker, the progress; one statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import F, OuterRef, Subquery, TextField
from django.db.models.functions import Left

from openqueue.control.callers import Caller, Right
from openqueue.control.run_facts import RunFacts
from openqueue.models import Run, RunEvent, Worker
from openqueue.states import Kind, Status
from openqueue.store import store

HEAD: Final = 1_000
"""Characters that are read of an error: its class and message come first, its traceback stays where it is."""
MESSAGE: Final = 300
ESCAPE: Final = 6
"""Characters that the longest escape of JSON takes: one that was cut through is left off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One run as a list shows it."""

    run: RunFacts
    worker_id: UUID | None
    worker: str
    """As ``host:pid``; empty while it has none, or none that is on record."""
    error: str
    """Class and message of the last error; empty for who may not see what runs carry."""
    percent: float | None
    progress: str
    """What a running body said last, for who may see what runs carry."""


def read(runs: Sequence[RunFacts], *, caller: Caller) -> list[RunLine]:
    """Return lines for these runs, in their order, in one statement."""
    if not runs:
        return []
    rows = Run.objects.using(store().alias).filter(pk__in=[run.id for run in runs])
    worker = Worker.objects.filter(pk=OuterRef("worker_id"))
    said = RunEvent.objects.filter(run_id=OuterRef("pk"), kind=Kind.PROGRESS, attempt=OuterRef("attempt"))
    found: Any = rows.order_by().values(
        "pk",
        "worker_id",
        host=Subquery(worker.values("host")[:1]),
        pid=Subquery(worker.values("pid")[:1]),
        said=Subquery(said.order_by("-pk").values("data")[:1]),
        head=Left(F("error"), HEAD, output_field=TextField()),
    )
    more: dict[UUID, dict[str, Any]] = {row["pk"]: row for row in found}
    return [_line(run, more.get(run.id, {}), sees_data=caller.may(Right.DATA)) for run in runs]


def _line(run: RunFacts, row: Mapping[str, Any], *, sees_data: bool) -> RunLine:
    said: Any = row.get("said") if run.status == Status.RUNNING else None
    said = json.loads(said) if isinstance(said, str) else said
    said = said if isinstance(said, dict) else {}
    percent = said.get("percent")
    has_failed = run.status in {Status.FAILED, Status.RETRYING, Status.QUEUED} and run.attempt > 0
    return RunLine(
        run=run,
        worker_id=row.get("worker_id"),
        worker=f"{row['host']}:{row['pid']}" if row.get("host") else "",
        error=headline(row.get("head") or "") if sees_data and has_failed else "",
        percent=float(percent) if isinstance(percent, int | float) else None,
        progress=str(said.get("message") or "") if sees_data else "",
    )


def headline(text: str) -> str:
    """Return class and message from the beginning of an error's JSON text, which may be cut anywhere."""
    kind, at = _string(text, '{"type":', 0)
    message, _ = _string(text, ',"message":', at)
    message = message if len(message) <= MESSAGE else f"{message[: MESSAGE - 1]}…"
    return ": ".join(part for part in (kind, message) if part)


def _string(text: str, name: str, at: int) -> tuple[str, int]:
    """Return the string behind a name, and where it ends; what is there of it where the text ends before."""
    if not text.startswith(name, at):
        return "", at
    at += len(name)
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
    except ValueError:
        for cut in range(ESCAPE + 1):
            try:
                return str(json.loads(text[at : len(text) - cut] + '"')), len(text)
            except ValueError:
                continue
        return "", at
    return (value, end) if isinstance(value, str) else ("", end)
