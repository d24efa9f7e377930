"""Flows, for a caller from outside: a flow exists for who sees the queues of all its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from openqueue.control import audit, flows, tasks
from openqueue.control.audit import Act
from openqueue.control.callers import Caller
from openqueue.control.flows import FlowDetail, FlowFacts, FlowPage
from openqueue.control.tasks import Wish
from openqueue.core import cancellation
from openqueue.errors import UnclearFlow
from openqueue.flow.definition import Flow as Graph
from openqueue.flow.definition import OnFailure
from openqueue.flow.enqueue import enqueue_flow
from openqueue.models import Flow, FlowNode
from openqueue.store import store
from openqueue.wording import say as _

FINISHED: Final = cancellation.FINISHED
NOTHING: Final = "nothing to retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowAnswer:
    """What came of an act, and the flow as it is now."""

    outcome: str
    flow: FlowFacts


def listing(
    *, status: str | None, name: str | None, after: UUID | None, limit: int, caller: Caller
) -> FlowPage:
    """Return flows, newest first, in one statement."""
    return flows.find(status=status, name=name, after=after, limit=limit, among=_visible(caller))


def one(flow: UUID, *, caller: Caller) -> FlowDetail:
    """Return one flow as a graph. This and the acts raise UnclearFlow for one that the caller does not see."""
    _checked(flow, caller)
    return flows.show(flow)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWish:
    """A node that a caller from outside wants."""

    name: str
    call: Wish
    after: Sequence[str]
    """Names of nodes."""
    on_failure: str | None
    """The policy of what it waits for; None: the flow's."""


def trigger(
    name: str, nodes: Sequence[NodeWish], *, on_failure: str, caller: Caller, reason: str = ""
) -> FlowAnswer:
    """Trigger a flow, all of it or none.

    Raises:
        UnknownTask: the task of a node does not exist for the caller.
        NotAllowed: the caller may not trigger one of them there.
        PayloadInvalid: each fault with its path in the request.
        FlowInvalid: a name is taken twice, or a node waits for one that is not there, for itself, or in a circle.
        UnsupportedCapability: an option that a queue's runtime cannot keep.
    """
    calls = tasks.bound(
        caller, [node.call for node in nodes], paths=[f"nodes[{number}]." for number in range(len(nodes))]
    )
    flow = Graph(name, on_failure=cast(OnFailure, on_failure))
    for node, call in zip(nodes, calls, strict=True):
        flow.add(call, name=node.name, after=node.after, on_failure=cast("OnFailure | None", node.on_failure))
    with store().atomic():
        made = enqueue_flow(flow)
        act = Act("flow.trigger", f"flow {made.id}", after={"name": name, "nodes": len(nodes)})
        audit.record([act], actor=caller.actor, reason=reason)
    return _answer("triggered", made.id, caller)


def cancel(flow: UUID, *, caller: Caller, reason: str = "") -> FlowAnswer:
    """Cancel it; the outcome is `cancelled`, `requested` or `finished`."""
    _checked(flow, caller)
    outcome = flows.cancel(flow, actor=caller.actor, reason=reason)
    return _answer(outcome if outcome != cancellation.MISSING else FINISHED, flow, caller)


def retry(flow: UUID, *, caller: Caller, reason: str = "") -> FlowAnswer:
    """Begin the nodes anew that did not complete; the outcome is `retried`, or `nothing to retry`."""
    _checked(flow, caller)
    number = flows.retry(flow, actor=caller.actor, reason=reason)
    return _answer("retried" if number else NOTHING, flow, caller)


def _visible(caller: Caller) -> QuerySet[Flow]:
    rows = Flow.objects.using(store().alias).all()
    if caller.queues is None:
        return rows
    elsewhere = FlowNode.objects.filter(flow_id=OuterRef("pk")).exclude(run__queue__in=sorted(caller.queues))
    return rows.exclude(Exists(elsewhere))


def _checked(flow: UUID, caller: Caller) -> Flow:
    row = _visible(caller).filter(pk=flow).first()
    if row is None:
        raise UnclearFlow(
            _("There is no flow {flow}. It was never committed, or retention deleted it.", flow=flow)
        )
    return row


def _answer(outcome: str, flow: UUID, caller: Caller) -> FlowAnswer:
    return FlowAnswer(outcome=outcome, flow=FlowFacts.of(_checked(flow, caller)))
