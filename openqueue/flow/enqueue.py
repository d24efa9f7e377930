"""From a graph to its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from asgiref.sync import sync_to_async

from openqueue import payloads
from openqueue.core import flows
from openqueue.flow.definition import Flow
from openqueue.flow.handle import FlowHandle
from openqueue.ids import uuid7
from openqueue.models import Flow as FlowRow
from openqueue.models import FlowEdge, FlowNode
from openqueue.orders import Bound, Branch, Facts
from openqueue.states import FlowStatus
from openqueue.telemetry import otel
from openqueue.types import NewRun


def enqueue_flow(flow: Flow | Branch | Bound[Any]) -> FlowHandle:
    """Trigger a flow, or a tree (``finish.bind().after(a.bind(), b.bind())``); in atomic() all of it or none.

    A fixed number of statements a thousand nodes. What waits for nobody is announced on commit, the others when the
    transaction that ends what they wait for commits.

    Raises:
        FlowInvalid: it is empty, or a node waits for one that is not there, for itself, or in a circle.
        TriggerNotAtomic: the open transaction is of another database.
        UnsupportedCapability: an option that a queue's runtime cannot keep.
    """
    graph = flow if isinstance(flow, Flow) else Flow.of_tree(flow)
    edges = graph.edges()
    row = FlowRow(id=uuid7(), name=graph.name, policy=graph.policy, status=FlowStatus.RUNNING)
    with otel.producer_span(
        graph.name, queue=next(iter(graph.nodes.values())).call.options.queue, count=len(graph.nodes)
    ):
        runs = dict(zip(graph.nodes, new_runs([node.call for node in graph.nodes.values()]), strict=True))
        row.callbacks = {
            end: [callback(run) for run in new_runs(calls)] for end, calls in graph.callbacks.items()
        } or None
    remaining = Counter(child for _, child, _ in edges)
    nodes = [
        node_row(run, name=name, number=number, flow=row, remaining=remaining[name])
        for number, (name, run) in enumerate(runs.items())
    ]
    row.total = len(nodes)
    row.waiting = len(remaining)
    row.active = row.total - row.waiting
    flows.begin(
        row,
        runs=[
            run._replace(flow_id=row.id, waiting=node.waiting)
            for run, node in zip(runs.values(), nodes, strict=True)
        ],
        nodes=nodes,
        edges=[
            FlowEdge(parent_id=runs[parent].id, child_id=runs[child].id, policy=policy)
            for parent, child, policy in edges
        ],
        atomic=all(node.call.options.atomic for node in graph.nodes.values()),
    )
    return FlowHandle(id=row.id, name=row.name, status=row.status)


async def aenqueue_flow(flow: Flow | Branch | Bound[Any]) -> FlowHandle:
    """Trigger a flow; it commits by itself. See `enqueue_flow`."""
    return await sync_to_async(enqueue_flow)(flow)


def new_runs(calls: Sequence[Bound[Any]]) -> list[NewRun]:
    """Return the runs of these calls; what calls have in common is worked out once."""
    traceparent = otel.capture()
    facts: dict[tuple[int, int], Facts] = {}
    runs = []
    for call in calls:
        key = (id(call.task), id(call.options))
        if key not in facts:
            facts[key] = Facts.usual(call.task, call.options)
        runs.append(call.new_run(traceparent=traceparent, facts=facts[key]))
    return runs


def node_row(run: NewRun, *, name: str, number: int, flow: FlowRow, remaining: int) -> FlowNode:
    """Return a node: its run's place while it waits."""
    return FlowNode(
        run_id=run.id,
        flow=flow,
        name=name,
        number=number,
        waiting=remaining > 0,
        remaining=remaining,
        delay=run.delay,
        run_at=run.run_at,
        ttl=run.ttl,
    )


def callback(run: NewRun) -> dict[str, Any]:
    """Return a run as JSON, for when the flow has ended."""
    payloads.refuse_stored(run.payload, why="a callback waits in the row of its flow")
    facts = run._asdict()
    del facts["id"]
    facts["run_at"] = run.run_at and run.run_at.isoformat()
    return {key: value for key, value in facts.items() if value is not None}
