"""What operators tell workers, through the database: to be quiet, to go on, to stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from openqueue.control import audit
from openqueue.control import workers as fleet
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.workers import QUIET_COMMAND, STOP_COMMAND, WorkerFacts
from openqueue.core import transitions
from openqueue.errors import UnclearWorker
from openqueue.models import Worker
from openqueue.store import store
from openqueue.wording import say as _

ASKED, ALREADY, NOT_QUIET, STOPPING, GONE = "asked", "already asked", "not quiet", "stopping", "gone"
SHORTEST: Final = 4
"""Characters of an id that name a worker."""


def quiet(workers: Sequence[UUID], *, actor: Actor, reason: str = "") -> dict[UUID, str]:
    """Have these claim nothing more while their bodies end; they hear of it within a second.

    Answers `asked`, `already asked`, `stopping` (it does not claim anyway) or `gone` for each: its process has ended
    or was lost.
    """
    return transitions.again(partial(_tell, workers, QUIET_COMMAND, actor=actor, reason=reason))


def resume(workers: Sequence[UUID], *, actor: Actor, reason: str = "") -> dict[UUID, str]:
    """Have quiet ones claim again; answer `asked`, `not quiet`, `stopping` or `gone` for each."""
    return transitions.again(partial(_tell, workers, "", actor=actor, reason=reason))


def stop(workers: Sequence[UUID], *, actor: Actor, reason: str = "") -> dict[UUID, str]:
    """Have these end as at SIGTERM: bodies get SHUTDOWN_GRACE, the rest is given back. No supervisor replaces them.

    Answers `asked`, `already asked`, `stopping` (by a signal) or `gone` for each.
    """
    return transitions.again(partial(_tell, workers, STOP_COMMAND, actor=actor, reason=reason))


def _tell(workers: Sequence[UUID], command: str, *, actor: Actor, reason: str) -> dict[UUID, str]:
    alias = store().alias
    with store().atomic():
        rows: Any = Worker.objects.using(alias).filter(pk__in=workers).order_by("pk")
        if store().connection.features.has_select_for_update:
            rows = rows.select_for_update()
        known = {row.pk: row for row in rows}
        answers = {worker: _answer(known.get(worker), command) for worker in workers}
        told = [worker for worker, answer in answers.items() if answer == ASKED]
        Worker.objects.using(alias).filter(pk__in=told).update(
            command=command, commanded_at=store().clock(None), commanded_by=actor.name
        )
        verb = f"worker.{command or 'resume'}"
        acts = [
            Act(verb, f"worker {worker}", {"command": known[worker].command}, {"command": command})
            for worker in told
        ]
        audit.record(acts, actor=actor, reason=reason)
    return answers


def _answer(worker: Worker | None, command: str) -> str:
    if worker is None or worker.state not in {fleet.RUNNING, fleet.STOPPING}:
        return GONE
    if worker.command == command:
        return ALREADY if command else NOT_QUIET
    if STOP_COMMAND in {worker.command, worker.obeys} or worker.state == fleet.STOPPING:
        return STOPPING
    return ASKED


def chosen(
    names: Sequence[str] = (), *, queue: str | None = None, host: str | None = None, everybody: bool = False
) -> list[WorkerFacts]:
    """Return the workers meant: by id or its beginning or host:pid, or all that serve a queue, of a host, or at all.

    Raises:
        UnclearWorker: a name that means none, or several.
    """
    there = fleet.read(fleet.held(), clock=store().clock(None))
    if not names:
        alive = [worker for worker in there if worker.state != fleet.LOST]
        return [
            worker
            for worker in alive
            if (everybody or queue is not None or host is not None)
            and (queue is None or queue in worker.queues)
            and (host is None or worker.host == host)
        ]
    return list({worker.id: worker for name in names for worker in [_named(name, there)]}.values())


def _named(name: str, there: Sequence[WorkerFacts]) -> WorkerFacts:
    wanted = name.strip().lower()
    found = [worker for worker in there if f"{worker.host}:{worker.pid}".lower() == wanted]
    found = [worker for worker in found if worker.state != fleet.LOST] or found[:1]
    if not found and len(wanted) >= SHORTEST:
        found = [worker for worker in there if str(worker.id).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnclearWorker(
            _("{name!r} means {found} workers. Give more characters of the id.", name=name, found=len(found))
        )
    raise UnclearWorker(
        _(
            "No worker {name!r} is there: see `openqueue_workers list`. One that has stopped is not listed.",
            name=name,
        )
    )
