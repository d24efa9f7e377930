"""Claims over HTTP: one statement for a batch, and a wait that holds no connection."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from django.db.models import Count

from openqueue import codec, payloads, registry, secrets
from openqueue.conf import config
from openqueue.control.callers import Caller
from openqueue.control.remote import crew, waiting
from openqueue.control.remote.leases import Lease, read_all
from openqueue.core import transitions, verdicts
from openqueue.definitions.defined import DefinedTask
from openqueue.errors import PayloadInvalid, PayloadUnavailable, SecretsUnavailable, SecretUnreadable
from openqueue.models import Claim, Worker
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Claimed, ClaimRequest

MOST: Final = 200
"""Runs of one claim."""
AGAIN_IN: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An attempt to be made."""

    lease: str
    """Goes with everything that is said of this attempt. A secret: it is as good as the result."""
    run: UUID
    task: str
    queue: str
    attempt: int
    max_attempts: int
    timeout: float | None
    """Seconds that the attempt may take."""
    traceparent: str | None
    """W3C trace context of the trigger."""
    payload: Mapping[str, Any]
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The answer to a claim."""

    command: str
    """As in the answer to a heartbeat."""
    retry_in: float
    """Seconds before the next claim: 0, or more where nothing came and the server could not wait."""
    runs: Sequence[Work]


def claim(
    worker: UUID, *, limit: int, wait: float, leases: Sequence[str] | None = None, caller: Caller
) -> Batch:
    """Claim up to ``limit`` due runs for a worker, and renew its lease; wait up to so many seconds for the first.

    leases: all that it holds. What the database has beside them, from a claim whose answer was lost, is given back.

    Raises:
        WorkerGone: the worker was declared lost, has left, or is not this caller's.
        LeaseForeign: a lease was not given to this caller.
    """
    row = crew.of(worker, caller=caller)
    named = None if leases is None else read_all(leases, what="leases", caller=caller)
    tasks = _served(row)
    rooms = _rooms(row, caller, limit)
    deadline = time.monotonic() + min(wait, crew.longest_wait())
    while True:
        told = crew.beat(row, busy=None if named is None else len(named))
        if named is not None:
            crew.give_back(row.pk, told.held, named)
            named = None  # one claim after the other: none of its own is a stranger
        if told.command in crew.QUIET or row.state != crew.ALIVE[0]:
            return Batch(runs=(), command=told.command, retry_in=config.heartbeat.total_seconds())
        found = _claimed(row, rooms, tasks, limit=limit)
        if found or not waiting.for_work(rooms, tasks, until=deadline):
            break
    waited = wait > 0 and time.monotonic() >= deadline
    return Batch(
        runs=_works(found, tasks, caller), command=told.command, retry_in=0.0 if found or waited else AGAIN_IN
    )


def _served(row: Worker) -> dict[str, Any]:
    """Return the tasks that a worker serves and has the labels for."""
    known, labels = registry.everywhere(), set(row.labels or ())
    served = {name: known[name] for name in row.tasks if name in known}
    return {name: task for name, task in served.items() if getattr(task, "needs", frozenset()) <= labels}


def _rooms(row: Worker, caller: Caller, limit: int) -> dict[str, dict[str, int]]:
    """Return how much of each queue it may be given, by runtime."""
    queues = [queue for queue in row.queues if caller.may_work(queue)]
    busy: dict[str, int] = {}
    if any(config.queue(queue).concurrency is not None for queue in queues):
        held = Claim.objects.using(store().alias).filter(worker_id=row.pk).order_by()
        busy = dict(held.values_list("queue").annotate(Count("pk")))
    rooms: dict[str, dict[str, int]] = {}
    for queue in queues:
        most = config.queue(queue).concurrency
        room = limit if most is None else min(limit, most - busy.get(queue, 0))
        if room > 0:
            rooms.setdefault(config.runtime_of(queue).alias, {})[queue] = room
    return rooms


def _claimed(
    row: Worker, by_runtime: Mapping[str, Mapping[str, int]], tasks: Mapping[str, Any], *, limit: int
) -> list[Claimed]:
    """Claim: one statement for each runtime, one in all where the queues are on one."""
    found: list[Claimed] = []
    request = ClaimRequest(worker_id=row.pk, token=uuid4(), known=list(tasks), announced=True)
    for runtime, rooms in by_runtime.items() if tasks else ():
        left = limit - len(found)
        if left > 0:
            found += transitions.claim_due(request, runtime=runtime, rooms=dict(rooms), limit=left).claimed
    return found


def _works(found: Sequence[Claimed], tasks: Mapping[str, Any], caller: Caller) -> list[Work]:
    """Return what the worker is given; a run whose payload no longer fits its task ends here."""
    works, refused = [], []
    for one in found:
        try:
            works.append(_work(one, tasks[one.task_id], caller))
        except (PayloadInvalid, SecretUnreadable, SecretsUnavailable) as error:
            described = codec.describe(error) | {"traceback": ""}
            refused.append(transitions.failed(one, reason=Reason.PAYLOAD_INVALID, error=described, age=None))
        except PayloadUnavailable as error:
            refused.append(
                verdicts.of_failure(
                    one,
                    reason=Reason.ERROR,
                    error=codec.describe(error) | {"traceback": ""},
                    again=True,
                    pause=partial(verdicts.pause, one, tasks[one.task_id]),
                    age=0.0,
                )
            )
    if refused:
        transitions.settle([outcome._replace(own=False) for outcome in refused])
    return works


def _work(one: Claimed, task: Any, caller: Caller) -> Work:
    payload = payloads.decode(one.payload)
    if task.secret:
        payload = secrets.unseal(payload, fields=task.secret)
    if isinstance(task, DefinedTask):
        payload = task.signature.load(payload)
    options = codec.decode(one.options) if one.options else {}
    return Work(
        lease=Lease.of(one).written(caller.owner),
        run=one.run_id,
        task=one.task_id,
        queue=one.queue,
        attempt=one.attempt,
        max_attempts=one.max_attempts,
        payload=payload,
        meta=codec.decode(one.meta) if one.meta else {},
        timeout=options.get("timeout", task.options.timeout),
        traceparent=one.traceparent,
    )
