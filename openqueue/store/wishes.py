"""What operators want of queues and workers, asked all the time by every worker: without the ORM's cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from openqueue.models import QueueState, Worker

HOLD, REJECT, SKIP = "hold", "reject", "skip"
"""What becomes of runs that are triggered into a queue that is disabled: they wait, are refused, or never run."""

if TYPE_CHECKING:
    from openqueue.store.base import BaseStore


def paused(store: BaseStore) -> set[str]:
    """Return the queues of which nothing is to be started."""
    with store.connection.cursor() as cursor:
        cursor.execute("SELECT name FROM openqueue_queuestate WHERE paused")
        return {row[0] for row in cursor.fetchall()}


def closed(store: BaseStore, queues: Iterable[str]) -> dict[str, str]:
    """Return those of these queues that take in no runs, with what becomes of them: REJECT or SKIP."""
    states = QueueState.objects.using(store.alias).filter(name__in=list(queues), behaviour__in=[REJECT, SKIP])
    return dict(states.order_by().values_list("name", "behaviour"))


def closers(store: BaseStore, queues: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return these queues with who closed them and why."""
    states = QueueState.objects.using(store.alias).filter(name__in=list(queues)).order_by("name")
    return list(states.values_list("name", "closed_by", "close_reason"))


class Told(NamedTuple):
    """What an operator told a worker."""

    command: str
    shown: str
    """What operators see that it follows."""


def heard(store: BaseStore, worker_id: UUID) -> tuple[set[str], Told | None]:
    """Return the paused queues and what this worker is told, in one statement; None: nobody knows such a worker."""
    with store.connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT name, '', '' FROM openqueue_queuestate WHERE paused
            UNION ALL
            SELECT '', command, obeys FROM openqueue_worker WHERE id = %s AND state IN ('running', 'stopping')
            """,
            [Worker._meta.pk.get_db_prep_value(worker_id, store.connection)],
        )
        rows = cursor.fetchall()
    return {name for name, *_ in rows if name}, next((Told(*told) for name, *told in rows if not name), None)


def show(store: BaseStore, worker_id: UUID, *, command: str) -> None:
    """Let operators see what a worker follows."""
    Worker.objects.using(store.alias).filter(pk=worker_id).update(obeys=command)
