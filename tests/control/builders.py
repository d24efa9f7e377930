"""Runs in every state, made by the very transitions that real ones take; all arguments are optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from openqueue import codec, registry, task
from openqueue.core import transitions
from openqueue.declaration import Task
from openqueue.models import Flow, FlowNode, QueueState
from openqueue.orders import Facts
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Claimed, ClaimRequest, Incarnation
from tests.app.tasks import add

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
ERROR = {
    "type": "ValueError",
    "message": "no such order",
    "traceback": "Traceback ...\nValueError: no such order",
}


@task(id="tests.log_in", secret=["password"])
def log_in(user: str, password: str) -> None:
    """Its password must never be shown."""


def clock() -> datetime:
    return store().clock(None)


def make_run(
    *,
    status: str = "queued",
    task: Task[Any, Any] = add,
    payload: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    id: UUID | None = None,
    worker: UUID | None = None,
    seconds: float = 2.0,
    result: Any = 3,
    **options: Any,
) -> UUID:
    """Make one run that was triggered at `at` and reached `status`, `seconds` later if that takes an attempt."""
    at = at or clock()
    if status == "scheduled":
        options.setdefault("delay", 3_600)
    if status == "expired":
        options.setdefault("ttl", 1)
    bound = task.using(**options).bind(**({"a": 1, "b": 2} if payload is None else payload))
    run = bound.new_run(traceparent=None, facts=Facts.of(task, bound.options))
    run = run if id is None else run._replace(id=id)
    if status == "waiting":
        run = run._replace(flow_id=make_node(run.id, at=at), waiting=True)
    transitions.create([run], now=at)
    if status == "expired":
        transitions.expire(limit=10, now=at + timedelta(seconds=2))
    elif status == "cancelled":
        transitions.cancel_waiting([run.id], actor="somebody", now=at)
    elif status not in {"queued", "scheduled", "waiting"}:
        attempt = claim(run.id, worker=worker, at=at)
        end(attempt, status=status, at=at + timedelta(seconds=seconds), seconds=seconds, result=result)
    return run.id


def make_node(run: UUID, *, at: datetime) -> UUID:
    """Give a run its place in a flow, waiting for one other; return the flow."""
    flow = Flow.objects.create(
        name="flow", policy="fail", status="running", total=1, waiting=1, created_at=at, checked_at=at
    )
    FlowNode.objects.create(run_id=run, flow=flow, name="node", number=0, waiting=True, remaining=1)
    return flow.pk


def claim(run: UUID, *, worker: UUID | None = None, at: datetime | None = None, seq: int = 1) -> Claimed:
    """Take a due run as a worker would."""
    request = ClaimRequest(worker_id=worker or uuid4(), token=uuid4(), known=list(registry.index()))
    (attempt,) = transitions.claim_named(request, announcements=[(run, seq)], now=at).claimed
    return attempt


def end(attempt: Claimed, *, status: str, at: datetime, seconds: float = 0.0, result: Any = None) -> None:
    """Settle an attempt; `running` leaves it open."""
    if status == "running":
        return
    if status == "completed":
        text = codec.encode(result, what="result", limit=1_000)
        outcome = transitions.completed(attempt, result=text, age=seconds)
    elif status == "failed":
        outcome = transitions.failed(attempt, reason=Reason.ERROR, error=ERROR, age=seconds)
    else:
        outcome = transitions.retrying(
            attempt, reason=Reason.ERROR, error=ERROR, delay=3_600, backoff="fixed", age=seconds
        )
    assert transitions.settle([outcome], now=at)


def make_worker(
    *,
    queues: Sequence[str] = ("default",),
    runtimes: Sequence[str] = ("default",),
    tasks: Sequence[str] = (),
    release: str = "",
    lease: timedelta = timedelta(seconds=30),
    at: datetime | None = None,
) -> UUID:
    """Register a worker that renewed its lease at `at`, for the last time."""
    incarnation = Incarnation(
        id=uuid4(),
        host="web-1",
        pid=4711,
        version="0.1.0",
        release=release,
        runtimes=runtimes,
        queues=queues,
        tasks=tasks,
        slots=10,
    )
    store().register(incarnation, lease=lease, now=at or clock())
    return incarnation.id


def pause(queue: str) -> None:
    QueueState.objects.create(name=queue, paused=True, paused_by="ada", pause_reason="provider is down")
