"""Workers over HTTP: registered, heard of by their heartbeats, gone. An incarnation as any other worker's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from openqueue import registry
from openqueue.conf import NAME, config
from openqueue.control.callers import Caller
from openqueue.control.remote import overdue
from openqueue.control.remote.leases import Lease, read_all
from openqueue.core import transitions
from openqueue.errors import NotAllowed, PayloadInvalid, UnknownTask, WorkerGone
from openqueue.models import Claim, Worker
from openqueue.store import releases, store, wishes
from openqueue.types import Beat, Held, Memory

ALIVE: Final = ("running", "stopping")
MARGIN: Final = 2.0
"""Seconds before its lease ends at which a worker begins no body any more."""
QUIET: Final = frozenset({"quiet", "stop"})
"""Commands of operators after which a worker claims nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A worker that was registered, and what it has to keep. Durations are seconds."""

    worker: UUID
    lease: float
    """After its last heartbeat it is declared lost, and its runs are given to others."""
    heartbeat: float
    """Between heartbeats."""
    start_before: float
    """After its last heartbeat was sent it begins no body any more."""
    grace: float
    """What bodies are given to end when the worker is told to stop."""
    longest_wait: float
    """Of one claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The answer to a heartbeat."""

    command: str
    """quiet: claim nothing more; stop: end what runs, then leave; otherwise empty."""
    cancel: Sequence[UUID]
    """Runs of this worker that somebody asked to stop."""
    lost: Sequence[str]
    """Leases that were named and are not this worker's any more: stop their bodies, their results are discarded."""
    released: int
    """Runs that this worker had in the database and did not name: given back, the attempt refunded."""


def register(
    caller: Caller,
    *,
    language: str,
    host: str,
    pid: int,
    version: str,
    release: str,
    queues: Sequence[str],
    tasks: Sequence[str],
    slots: int,
    labels: Collection[str] = (),
) -> Registered:
    """Write the row of an incarnation.

    Raises:
        NotAllowed: the token is not for one of the queues.
        PayloadInvalid: a queue cannot have that name, or a task is unknown.
    """
    faults = [
        (f"queues[{n}]", f"must match {NAME.pattern}") for n, q in enumerate(queues) if not NAME.fullmatch(q)
    ]
    known = registry.everywhere()
    faults += [(f"tasks[{n}]", UnknownTask.default_message()) for n, t in enumerate(tasks) if t not in known]
    if faults:
        raise PayloadInvalid(faults)
    for queue in queues:
        if not caller.may_work(queue):
            raise NotAllowed(f"{caller.actor.name} may not work on queue {queue!r}.")
    moment = store().clock(None)
    row = Worker(
        id=uuid4(),
        host=host,
        pid=pid,
        version=version,
        release=release,
        language=language,
        owner=caller.owner,
        labels=sorted(set(labels)),
        runtimes=sorted({config.runtime_of(queue).alias for queue in queues}),
        queues=sorted(set(queues)),
        tasks=sorted(set(tasks)),
        slots=slots,
        state=ALIVE[0],
        started_at=moment,
        lease_until=moment + config.lease,
    )
    releases.note(store(), release, at=moment)
    row.save(using=store().alias, force_insert=True)
    lease = config.lease.total_seconds()
    return Registered(
        worker=row.pk,
        lease=lease,
        heartbeat=config.heartbeat.total_seconds(),
        start_before=lease - MARGIN,
        grace=config.shutdown_grace.total_seconds(),
        longest_wait=longest_wait(),
    )


def of(worker: UUID, *, caller: Caller) -> Worker:
    """Return the row of a live worker of this caller.

    Raises:
        WorkerGone: there is none.
    """
    rows = Worker.objects.using(store().alias).filter(pk=worker, owner=caller.owner, state__in=ALIVE)
    row = rows.first()
    if row is None:
        raise WorkerGone(worker)
    return row


def beat(
    row: Worker, *, busy: int | None = None, state: str | None = None, memory: int | None = None
) -> Beat:
    """Renew the lease of a worker, in one statement; in two when it is told something new.

    Raises:
        WorkerGone: it was declared lost meanwhile.
    """
    told = store().beat(
        row.pk,
        lease=config.lease.total_seconds(),
        busy=row.busy if busy is None else min(busy, row.slots),
        state=row.state if state is None else state,
        memory=None if memory is None else Memory(resident=memory),
    )
    if not told.alive:
        raise WorkerGone(row.pk)
    if told.command != row.obeys:  # this answer tells it
        wishes.show(store(), row.pk, command=told.command)
    return told


def heartbeat(
    worker: UUID,
    *,
    leases: Sequence[str] | None,
    busy: int | None,
    stopping: bool,
    memory: int | None = None,
    caller: Caller,
) -> Pulse:
    """Renew a worker's lease, whatever the number of its claims; say what it has to hear.

    leases: all that it holds. What the database has beside them, from a claim whose answer was lost, is given back.
    memory: bytes that it takes, where it tells.

    Raises:
        WorkerGone: it was declared lost, or is not this caller's.
        LeaseForeign: a lease was not given to this caller.
    """
    row = of(worker, caller=caller)
    named = (
        None
        if leases is None
        else dict(zip(leases, read_all(leases, what="leases", caller=caller), strict=True))
    )
    told = beat(
        row,
        busy=busy if named is None else len(named),
        state=ALIVE[1] if stopping or row.state == ALIVE[1] else ALIVE[0],
        memory=memory,
    )
    held = {(one.run_id, one.token): one for one in told.held}
    for place in overdue.end(row.pk) if held else ():
        held.pop(place, None)
    released = 0
    if named is not None:
        # The answer to a claim may still be on its way: what was claimed just now is left for the next heartbeat.
        released = give_back(row.pk, list(held.values()), list(named.values()), older_than=config.heartbeat)
    return Pulse(
        command=told.command,
        cancel=[one.run_id for one in held.values() if one.cancel_requested],
        lost=[text for text, lease in (named or {}).items() if lease[:2] not in held],
        released=released,
    )


def give_back(
    worker: UUID, held: Sequence[Held], named: Sequence[Lease], *, older_than: timedelta = timedelta(0)
) -> int:
    """Give back what a worker has in the database and does not know of, the attempt refunded; return how many."""
    known = {lease[:2] for lease in named}
    strangers = [one.run_id for one in held if (one.run_id, one.token) not in known]
    if not strangers:
        return 0
    before = store().clock(None) - older_than
    claims = Claim.objects.using(store().alias).filter(worker_id=worker, claimed_at__lte=before)
    old = claims.filter(run_id__in=strangers).values_list("run_id", "token")
    outcomes = [
        transitions.released(run, token, age=None, own=False, why="not held by its worker")
        for run, token in old
    ]
    return len(transitions.settle(outcomes, left=[]))


def leave(worker: UUID, *, caller: Caller) -> int:
    """Give back all that a worker still holds, attempts refunded, and say that it has ended in order.

    Raises:
        WorkerGone: it is not this caller's, or was declared lost.
    """
    row = of(worker, caller=caller)
    clock = store().clock(None)
    claims = Claim.objects.using(store().alias).filter(worker_id=row.pk)
    outcomes = [
        transitions.released(run, token, age=(clock - at).total_seconds(), own=True, why="its worker left")
        for run, token, at in claims.values_list("run_id", "token", "claimed_at")
    ]
    given_back = len(transitions.settle(outcomes))
    store().resign(row.pk)
    return given_back


def longest_wait() -> float:
    """Return the seconds that a claim may wait: well within the lease that it renews."""
    return min(config.long_poll, config.lease / 2).total_seconds()
