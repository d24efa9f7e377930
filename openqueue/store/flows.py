"""Flows as rows: what is written under a flow's lock. Set-wise: a statement a thousand nodes, never one a node.

A waiting run is touched by nobody who does not hold the lock of its flow; runs that are on their way are locked before
it, as a settle does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from uuid import UUID

from django.db.models import F

from openqueue import limits
from openqueue.models import Flow, FlowEdge, FlowNode, Outbox, Run, RunEvent
from openqueue.states import FINAL, FLOW_ENDED, FlowStatus, Kind, Policy, Reason, Status

if TYPE_CHECKING:
    from openqueue.store.base import BaseStore

AT_ONCE: Final = 1_000
"""Rows that one statement names."""
T = TypeVar("T")


class Ended(NamedTuple):
    """A node whose run has ended in this transaction."""

    run_id: UUID
    flow_id: UUID
    was_waiting: bool


class Freed(NamedTuple):
    """A node that was let go: an outbox row, and what its announcement says."""

    run_id: UUID
    flow_id: UUID
    seq: int
    task_id: str
    runtime: str
    queue: str
    priority: int
    traceparent: str | None
    limit: str | None
    """The fleet-wide limit that has to let it through first."""
    is_due: bool


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Split what a statement may name."""
    given = list(items)
    for at in range(0, len(given), AT_ONCE):
        yield given[at : at + AT_ONCE]


def insert(
    store: BaseStore, *, flow: Flow | None, nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]
) -> None:
    """Write a new flow, or what is added to one that runs."""
    if flow is not None:
        flow.save(using=store.alias, force_insert=True)
    FlowNode.objects.using(store.alias).bulk_create(nodes, batch_size=AT_ONCE)
    FlowEdge.objects.using(store.alias).bulk_create(edges, batch_size=AT_ONCE)


def lock(store: BaseStore, flows: Iterable[UUID]) -> dict[UUID, Flow]:
    """Lock flows in the order of their ids, and return them as they are now."""
    rows = Flow.objects.using(store.alias).filter(pk__in=sorted(flows)).order_by("pk")
    if store.connection.features.has_select_for_update:
        rows = rows.select_for_update()
    else:  # a database with one writer: become it before reading
        rows.update(checked_at=F("checked_at"))
    return {flow.pk: flow for flow in rows}


def flows_of(store: BaseStore, runs: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the flow of each of these runs that is a node."""
    found: dict[UUID, UUID] = {}
    for some in chunks(runs):
        nodes = FlowNode.objects.using(store.alias).filter(pk__in=some)
        found |= dict(nodes.values_list("pk", "flow_id"))
    return found


def note_ends(store: BaseStore, ended: Mapping[UUID, Status]) -> list[Ended]:
    """Write down how these nodes ended; return those of which that was not known."""
    fresh: list[Ended] = []
    by_status: dict[Status, list[UUID]] = defaultdict(list)
    for some in chunks(ended):
        rows = current(store, FlowNode.objects.using(store.alias).filter(pk__in=some, outcome__isnull=True))
        for run, flow, waiting in rows.values_list("pk", "flow_id", "waiting"):
            fresh.append(Ended(run, flow, waiting))
            by_status[ended[run]].append(run)
    for status, runs in by_status.items():
        for some in chunks(runs):
            FlowNode.objects.using(store.alias).filter(pk__in=some).update(
                outcome=status.value, waiting=False
            )
    return fresh


def below(store: BaseStore, parents: Iterable[UUID]) -> list[tuple[UUID, UUID, str]]:
    """Return (parent, waiting child, policy) for what waits for these nodes."""
    found: list[tuple[UUID, UUID, str]] = []
    for some in chunks(parents):
        edges = FlowEdge.objects.using(store.alias).filter(parent__in=some, child__waiting=True)
        found += edges.values_list("parent_id", "child_id", "policy")
    return found


def decrement(store: BaseStore, steps: Mapping[UUID, tuple[int, int]]) -> list[UUID]:
    """Take (satisfied, blocked) parents off each waiting child, once a child; return those that nothing keeps now."""
    by_step: dict[tuple[int, int], list[UUID]] = defaultdict(list)
    for child, step in steps.items():
        by_step[step].append(child)
    freed: list[UUID] = []
    for (satisfied, blocked), children in sorted(by_step.items()):
        for some in chunks(sorted(children)):
            rows = FlowNode.objects.using(store.alias).filter(pk__in=some)
            rows.update(remaining=F("remaining") - satisfied, blocked=F("blocked") + blocked)
            if satisfied:
                ready = current(store, rows.filter(waiting=True, remaining__lte=0))
                freed += ready.values_list("pk", flat=True)
    return freed


def recount(store: BaseStore, children: Iterable[UUID]) -> list[UUID]:
    """Count anew what keeps these waiting nodes; return those that nothing keeps."""
    freed: list[UUID] = []
    for some in chunks(children):
        counts: dict[UUID, tuple[int, int]] = dict.fromkeys(some, (0, 0))
        edges = FlowEdge.objects.using(store.alias).filter(child__in=some)
        for child, outcome, policy in edges.values_list("child_id", "parent__outcome", "policy"):
            remaining, blocked = counts[child]
            if not is_satisfied(outcome, policy):
                ended = outcome is not None
                counts[child] = remaining + 1, blocked + (ended and policy == Policy.BLOCK)
        by_count: dict[tuple[int, int], list[UUID]] = defaultdict(list)
        for child, count in counts.items():
            by_count[count].append(child)
        for (remaining, blocked), same in by_count.items():
            rows = FlowNode.objects.using(store.alias).filter(pk__in=same, waiting=True)
            rows.update(remaining=remaining, blocked=blocked)
            if not remaining:
                freed += rows.values_list("pk", flat=True)
    return freed


def is_satisfied(outcome: str | None, policy: str) -> bool:
    """Tell whether a parent that ended so keeps nobody waiting any more."""
    return outcome == Status.COMPLETED or (outcome is not None and policy == Policy.CONTINUE)


def release(
    store: BaseStore, runs: Iterable[UUID], *, moment: datetime, head_start: Callable[[str], float]
) -> list[Freed]:
    """waiting -> queued | scheduled: the outbox rows of nodes that nothing keeps. Their delays begin now."""
    freed: list[Freed] = []
    for some in chunks(runs):
        nodes = FlowNode.objects.using(store.alias).filter(
            pk__in=some, waiting=True, run__status=Status.WAITING
        )
        of_run = (
            "version",
            "task_id",
            "runtime",
            "queue",
            "priority",
            "traceparent",
            "concurrency_key",
            "ordering_key",
        )
        names = ("run_id", "flow_id", "delay", "run_at", "ttl", *(f"run__{name}" for name in of_run))
        alike: dict[tuple[datetime, datetime | None], list[UUID]] = defaultdict(list)
        events, places = [], []
        for (
            run,
            flow,
            delay,
            run_at,
            ttl,
            version,
            task,
            runtime,
            queue,
            priority,
            trace,
            key,
            ordering,
        ) in nodes.values_list(*names):
            due = max(moment, run_at or moment + timedelta(seconds=delay))
            expires = None if ttl is None else due + timedelta(seconds=ttl)
            alike[due, expires].append(run)
            is_due = due <= moment
            limit, turn = limits.first(key, ordering, priority=priority)
            freed.append(Freed(run, flow, version + 1, task, runtime, queue, priority, trace, limit, is_due))
            events.append(
                RunEvent(run_id=run, version=version + 1, attempt=0, kind=Kind.UNBLOCKED, at=moment)
            )
            places.append(
                Outbox(run_id=run, seq=version + 1, attempt=1, task_id=task, runtime=runtime, queue=queue,
                       priority=priority, due_at=due, ready=is_due and limit is None, expires_at=expires,
                       concurrency_key=key, ordering_key=ordering, waits_for=limit,
                       turn=None if limit is None else turn, announce_at=due + timedelta(seconds=head_start(runtime)))
            )  # fmt: skip
        for (due, expires), same in alike.items():
            Run.objects.using(store.alias).filter(pk__in=same).update(
                status=Status.QUEUED if due <= moment else Status.SCHEDULED,
                version=F("version") + 1,
                scheduled_for=due,
                expires_at=expires,
            )
            FlowNode.objects.using(store.alias).filter(pk__in=same).update(waiting=False, released_at=moment)
        RunEvent.objects.using(store.alias).bulk_create(events)
        Outbox.objects.using(store.alias).bulk_create(places)
    return freed


def end(
    store: BaseStore,
    runs: Iterable[UUID],
    *,
    status: Status,
    reason: Reason,
    kind: Kind,
    actor: str = "",
    errors: Mapping[UUID, Mapping[str, Any]] | None = None,
    moment: datetime,
) -> list[UUID]:
    """waiting -> failed(dependency_failed) | cancelled."""
    ended: list[UUID] = []
    for some in chunks(runs):
        rows = Run.objects.using(store.alias).filter(pk__in=some, status=Status.WAITING)
        found = dict(rows.values_list("pk", "version"))
        rows = Run.objects.using(store.alias).filter(pk__in=list(found))
        rows.update(
            status=status, reason=reason, outcome=status, version=F("version") + 1, finished_at=moment
        )
        if errors is not None:
            failed = [Run(pk=run, error=errors[run]) for run in found]
            Run.objects.using(store.alias).bulk_update(failed, ["error"])
        RunEvent.objects.using(store.alias).bulk_create(
            [
                RunEvent(
                    run_id=run, version=version + 1, attempt=0, kind=kind, actor=actor, at=moment,
                    data=None if errors is None else {"reason": reason, "error": errors[run]},
                )
                for run, version in found.items()
            ]
        )  # fmt: skip
        ended += found
    return ended


def rest(store: BaseStore, runs: Iterable[UUID], *, actor: str, moment: datetime) -> list[UUID]:
    """Final -> waiting, a new cycle: a node that has to wait again for nodes that are repeated."""
    rested: list[UUID] = []
    ended = [status.value for status in FINAL]
    for some in chunks(runs):
        rows = Run.objects.using(store.alias).filter(pk__in=some, status__in=ended)
        found = {
            row[0]: row[1:] for row in rows.values_list("pk", "version", "cycle", "status", "reason", "error")
        }
        Run.objects.using(store.alias).filter(pk__in=list(found)).update(
            status=Status.WAITING, reason=Reason.NONE, version=F("version") + 1, cycle=F("cycle") + 1, attempt=0,
            crash_count=0, result=None, error=None, outcome=None, started_at=None, finished_at=None,
        )  # fmt: skip
        FlowNode.objects.using(store.alias).filter(pk__in=list(found)).update(waiting=True, outcome=None)
        RunEvent.objects.using(store.alias).bulk_create(
            [
                RunEvent(
                    run_id=run, version=version + 1, attempt=0, kind=Kind.REQUEUED, actor=actor, at=moment,
                    data={"cycle": cycle + 1, "status": status, "reason": reason, "error": error, "waiting": True},
                )
                for run, (version, cycle, status, reason, error) in found.items()
            ]
        )  # fmt: skip
        rested += found
    return rested


def reopen(store: BaseStore, runs: Iterable[UUID]) -> None:
    """Note that these nodes are on their way again."""
    for some in chunks(runs):
        FlowNode.objects.using(store.alias).filter(pk__in=some).update(outcome=None, waiting=False)


def keep(store: BaseStore, flow: Flow, *, moment: datetime) -> bool:
    """Write a flow's counts and how it stands now; tell whether it has just ended."""
    was_final = flow.finished_at is not None
    if flow.waiting == 0 and flow.active == 0:
        flow.status = how_it_ended(store, flow)
        flow.finished_at = flow.finished_at or moment
    else:
        flow.status = FlowStatus.RUNNING if flow.active else FlowStatus.BLOCKED
        flow.finished_at = None
    flow.save(
        using=store.alias, update_fields=[*COUNTS, "status", "finished_at", "cancelled_at", "checked_at"]
    )
    return flow.status in FLOW_ENDED and not was_final


COUNTS: Final = ("total", "waiting", "active", "completed", "failed")


def how_it_ended(store: BaseStore, flow: Flow) -> FlowStatus:
    """A flow ends as its last nodes do, those that no other waits for: what failed before them was continued after."""
    if flow.cancelled_at is not None:
        return FlowStatus.CANCELLED
    if not flow.failed:
        return FlowStatus.COMPLETED
    failed = FlowNode.objects.using(store.alias).filter(flow_id=flow.pk).exclude(outcome=Status.COMPLETED)
    return FlowStatus.FAILED if failed.filter(below__isnull=True).exists() else FlowStatus.COMPLETED


def count(store: BaseStore, flow: Flow) -> None:
    """Count a flow's nodes anew, for who changed more of them than it would like to add up."""
    rows = FlowNode.objects.using(store.alias).filter(flow_id=flow.pk)
    flow.total = flow.waiting = flow.active = flow.completed = flow.failed = 0
    for waiting, outcome in rows.values_list("waiting", "outcome"):
        flow.total += 1
        if outcome is None:
            flow.waiting += waiting
            flow.active += not waiting
        else:
            flow.completed += outcome == Status.COMPLETED
            flow.failed += outcome != Status.COMPLETED


def current(store: BaseStore, rows: Any) -> Any:
    """Read rows as they are now, also where the transaction sees the database as it was when it began."""
    return (
        rows.select_for_update().order_by("pk") if store.connection.features.has_select_for_update else rows
    )
