"""Flows: list them, look at one as a graph, cancel and retry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

from django.db.models import QuerySet

from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.core import cancellation, flow_acts, transitions
from openqueue.errors import UnclearFlow
from openqueue.models import Flow, FlowEdge, FlowNode
from openqueue.states import FlowStatus
from openqueue.store import store
from openqueue.store.flows import is_satisfied
from openqueue.wording import say as _

MOST_NODES: Final = 1_000
STATUSES: Final = tuple(status.value for status in FlowStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFacts:
    """One flow as lists show it."""

    id: UUID
    name: str
    policy: str
    status: str
    total: int
    waiting: int
    active: int
    completed: int
    failed: int
    created_at: datetime
    finished_at: datetime | None
    seconds: float | None
    """From its trigger to its end."""

    @classmethod
    def of(cls, flow: Flow, **more: Any) -> Self:
        """Read a row."""
        ended = flow.finished_at
        return cls(
            id=flow.pk,
            name=flow.name,
            policy=flow.policy,
            status=flow.status,
            total=flow.total,
            waiting=flow.waiting,
            active=flow.active,
            completed=flow.completed,
            failed=flow.failed,
            created_at=flow.created_at,
            finished_at=ended,
            seconds=(ended - flow.created_at).total_seconds() if ended else None,
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node, with the ten things that a flow remembers of it."""

    flow_id: UUID
    run_id: UUID
    name: str
    number: int
    task_id: str
    queue: str
    status: str
    reason: str
    attempt: int
    max_attempts: int
    after: Sequence[str]
    """The names of the nodes that it waits or waited for."""
    waits_for: Sequence[str]
    """Those that keep it waiting now."""
    blocked_by: Sequence[str]
    """Those of them that ended without completing: it waits for an operator."""
    added_by: UUID | None
    created_at: datetime
    released_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDetail(FlowFacts):
    """One flow with its graph."""

    nodes: Sequence[NodeFacts]
    nodes_left_off: bool
    """There are more than the first MOST_NODES."""
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPage:
    """Some flows, newest first."""

    flows: Sequence[FlowFacts]
    next: UUID | None
    """Give it as ``after`` to go on; None: these are the last."""


def find(
    *,
    status: str | None = None,
    name: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
    among: QuerySet[Flow] | None = None,
) -> FlowPage:
    """Return flows, newest first, by key: a page costs the same wherever it is. ``among``: the only ones that exist."""
    rows = Flow.objects.using(store().alias).all() if among is None else among
    rows = rows.order_by("-pk").defer("callbacks")
    if status is not None:
        rows = rows.filter(status=status)
    if name is not None:
        rows = rows.filter(name=name)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = list(rows[: limit + 1])
    return FlowPage(
        flows=[FlowFacts.of(flow) for flow in found[:limit]],
        next=found[limit - 1].pk if len(found) > limit else None,
    )


def show(flow_id: UUID) -> FlowDetail:
    """Return one flow with its first MOST_NODES nodes and what they wait for, in three statements.

    Raises:
        UnclearFlow: there is no such flow.
    """
    alias = store().alias
    flow = Flow.objects.using(alias).filter(pk=flow_id).first()
    if flow is None:
        raise UnclearFlow(
            _("There is no flow {flow}. It was never committed, or retention deleted it.", flow=flow_id)
        )
    nodes = list(
        FlowNode.objects.using(alias)
        .filter(flow=flow_id)
        .select_related("run")
        .defer("run__payload", "run__result", "run__error", "run__meta", "run__options")
        .order_by("number")[: MOST_NODES + 1]
    )
    edges = FlowEdge.objects.using(alias).filter(child__flow_id=flow_id, child__number__lt=MOST_NODES)
    above: dict[UUID, list[tuple[str, str | None, str]]] = {}
    for child, name, outcome, policy in edges.order_by("parent__number").values_list(
        "child_id", "parent__name", "parent__outcome", "policy"
    ):
        above.setdefault(child, []).append((name, outcome, policy))
    return FlowDetail.of(
        flow,
        nodes=[facts_of(node, above.get(node.pk, [])) for node in nodes[:MOST_NODES]],
        nodes_left_off=len(nodes) > MOST_NODES,
        cancelled_at=flow.cancelled_at,
    )


def facts_of(node: FlowNode, above: Sequence[tuple[str, str | None, str]]) -> NodeFacts:
    run = node.run
    keeping = [(name, outcome) for name, outcome, policy in above if not is_satisfied(outcome, policy)]
    return NodeFacts(
        flow_id=node.flow_id,
        run_id=node.pk,
        name=node.name,
        number=node.number,
        task_id=run.task_id,
        queue=run.queue,
        status=run.status,
        reason=run.reason,
        attempt=run.attempt,
        max_attempts=run.max_attempts,
        after=[name for name, _, _ in above],
        waits_for=[name for name, _ in keeping] if node.waiting else [],
        blocked_by=[name for name, outcome in keeping if outcome is not None] if node.waiting else [],
        added_by=node.added_by,
        created_at=run.created_at,
        released_at=node.released_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def cancel(flow_id: UUID, *, actor: Actor, reason: str = "") -> str:
    """Cancel a flow; answer `cancelled`, `requested`, `finished` or `missing`."""
    answer = transitions.again(partial(_stop, flow_id, actor=actor, reason=reason))
    return flow_acts.cancel_active(flow_id, actor=actor.name) if answer == cancellation.REQUESTED else answer


def _stop(flow_id: UUID, *, actor: Actor, reason: str) -> str:
    with store().own():
        answer = flow_acts.stop(flow_id, actor=actor.name)
        if answer == cancellation.REQUESTED:
            audit.record([Act("flow.cancel", f"flow {flow_id}")], actor=actor, reason=reason)
    return answer


def retry(flow_id: UUID, *, actor: Actor, reason: str = "") -> int:
    """Begin the nodes anew that did not complete, keeping what did; return how many."""
    return transitions.again(partial(_retry, flow_id, actor=actor, reason=reason))


def _retry(flow_id: UUID, *, actor: Actor, reason: str) -> int:
    with store().own():
        runs = flow_acts.retry(flow_id, actor=actor.name)
        if runs:
            act = Act("flow.retry", f"flow {flow_id}", after={"nodes": len(runs)})
            audit.record([act], actor=actor, reason=reason)
    return len(runs)
