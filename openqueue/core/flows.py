"""Flows: what the end of a node means for those that wait for it, in the transaction that ends it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from openqueue.conf import config
from openqueue.core import consequences, post_commit, rehearsal, transitions, trigger
from openqueue.errors import QueueClosed
from openqueue.ids import uuid7
from openqueue.models import Flow, FlowEdge, FlowNode
from openqueue.runtimes.base import Message
from openqueue.states import Kind, Policy, Reason, Status
from openqueue.store import flows as rows
from openqueue.store import store
from openqueue.types import NewRun

NAMED: Final = 5
"""Nodes that an error names."""
ALWAYS: Final = "ended"
"""Callbacks for every end."""


def register() -> None:
    """Have flows hear of the ends of runs, and of operators' retries."""
    if after not in consequences.CONSEQUENCES:
        consequences.CONSEQUENCES.append(after)
        consequences.REOPENINGS.append(reopen)


def begin(
    flow: Flow,
    *,
    runs: Sequence[NewRun],
    nodes: Sequence[FlowNode],
    edges: Sequence[FlowEdge],
    atomic: bool = True,
) -> None:
    """Write a flow with all its nodes, all or none; those that wait for nobody are announced on commit.

    Raises:
        TriggerNotAtomic: another database has a transaction open and OpenQueue's has not.
        QueueClosed: a queue rejects; nothing was written.
    """
    if atomic:
        trigger.refuse_other_transaction()
    with store().own():
        try:
            skipped = trigger.write(runs)
        except QueueClosed as error:
            refusal = error  # nothing was written: the caller's transaction goes on
        else:
            flow.created_at = flow.checked_at = store().clock(rehearsal.moment())
            rows.insert(store(), flow=flow, nodes=nodes, edges=edges)
            skip(skipped, now=rehearsal.moment())
            return
    raise refusal


def skip(runs: Collection[UUID], *, now: datetime | None) -> None:
    """Cancel new nodes whose queue takes in no runs, with what that means for those that wait for them."""
    if runs:
        transitions.skip(runs, now=now)
        cancel_waiting(sorted(runs), actor="", reason=Reason.QUEUE_CLOSED, now=now)


def after(ended: Mapping[UUID, Status], now: datetime | None) -> None:
    """Let go, fail or keep waiting what waits for these runs; end the flows that have no more to do."""
    places = rows.flows_of(store(), ended)
    if places:
        flows = rows.lock(store(), set(places.values()))
        nodes = {run: ended[run] for run, flow in places.items() if flow in flows}
        advance(flows, nodes, now=now)


def advance(flows: Mapping[UUID, Flow], ended: Mapping[UUID, Status], *, now: datetime | None) -> None:
    """Go on with these locked flows after the ends of some of their nodes: a question a level that fails, and a
    handful of statements for all of it.
    """
    moment = store().clock(now)
    noted = note(flows, ended)
    steps, failing = judge({node.run_id: ended[node.run_id] for node in noted})
    cascaded = dict.fromkeys(fail(failing, moment=moment), Status.FAILED)
    noted += note(flows, cascaded)
    let_go(flows, rows.decrement(store(), steps), moment=moment)
    for flow in sorted({node.flow_id for node in noted}):
        keep(flows[flow], moment=moment, now=now)
    consequences.of(cascaded, now=now)


def note(flows: Mapping[UUID, Flow], ended: Mapping[UUID, Status]) -> list[rows.Ended]:
    """Write down how these nodes ended, and count them."""
    noted = rows.note_ends(store(), ended) if ended else []
    for node in noted:
        tell_end(flows[node.flow_id], ended[node.run_id], was_waiting=node.was_waiting)
    return noted


def tell_end(flow: Flow, status: Status, *, was_waiting: bool) -> None:
    """Count a node that ended."""
    flow.waiting -= was_waiting
    flow.active -= not was_waiting
    flow.completed += status == Status.COMPLETED
    flow.failed += status != Status.COMPLETED


def judge(ended: Mapping[UUID, Status]) -> tuple[dict[UUID, tuple[int, int]], dict[UUID, list[UUID]]]:
    """Return what these ends, and those that they cause, are for each waiting node below.

    (satisfied, blocked) parents of those that go on; of the others, the parents that they fail for.
    """
    satisfied: Counter[UUID] = Counter()
    blocked: Counter[UUID] = Counter()
    failing: dict[UUID, list[UUID]] = {}
    wave = dict(ended)
    while wave:
        fresh: dict[UUID, list[UUID]] = defaultdict(list)
        for parent, child, policy in rows.below(store(), wave):
            if child in failing:
                continue
            if rows.is_satisfied(wave[parent], policy):
                satisfied[child] += 1
            elif policy == Policy.BLOCK:
                blocked[child] += 1
            else:
                fresh[child].append(parent)
        failing |= fresh
        wave = dict.fromkeys(fresh, Status.FAILED)
    going_on = {*satisfied, *blocked} - failing.keys()
    return {child: (satisfied[child], blocked[child]) for child in going_on}, failing


def fail(failing: Mapping[UUID, Sequence[UUID]], *, moment: datetime) -> list[UUID]:
    """Fail nodes that wait for what will not complete."""
    if not failing:
        return []
    parents = {parent: "" for some in failing.values() for parent in some[:NAMED]}
    for some in rows.chunks(parents):
        nodes = FlowNode.objects.using(store().alias).filter(pk__in=some)
        parents |= {
            run: f"{name} ended {outcome or Status.FAILED}"
            for run, name, outcome in nodes.values_list("pk", "name", "outcome")
        }
    errors = {child: dependency_failed([parents[p] for p in some[:NAMED]]) for child, some in failing.items()}
    return rows.end(
        store(),
        failing,
        status=Status.FAILED,
        reason=Reason.DEPENDENCY_FAILED,
        kind=Kind.FAILED,
        errors=errors,
        moment=moment,
    )


def dependency_failed(why: Sequence[str]) -> dict[str, Any]:
    """Return the error of a node that was not started."""
    message = f"Not started: {', '.join(why)}. Mend the cause, then retry the flow."
    return {"type": "DependencyFailed", "message": message, "traceback": ""}


def let_go(flows: Mapping[UUID, Flow], runs: Iterable[UUID], *, moment: datetime) -> None:
    """Release nodes, count them, and have them announced when the transaction commits."""
    by_runtime: dict[str, list[Message]] = defaultdict(list)
    waited_for: set[str] = set()
    for node in rows.release(store(), runs, moment=moment, head_start=head_start):
        flow = flows[node.flow_id]
        flow.waiting -= 1
        flow.active += 1
        if node.is_due and node.limit is not None:
            waited_for.add(node.limit)
        elif node.is_due and node.runtime in config.runtimes:
            by_runtime[node.runtime].append(
                Message(node.run_id, node.seq, node.task_id, node.queue, 1, node.priority, node.traceparent)
            )
    for alias, messages in by_runtime.items():
        post_commit.announce_on_commit(alias, messages)
    if waited_for:
        post_commit.admit_on_commit(waited_for)


def head_start(runtime: str) -> float:
    """Return the publisher's head start; none for a runtime that the settings do not name any more."""
    return trigger.head_start(runtime) if runtime in config.runtimes else 0.0


def keep(flow: Flow, *, moment: datetime, now: datetime | None) -> None:
    """Write how a flow stands; when it has ended, its callbacks become runs, once for each end."""
    if not rows.keep(store(), flow, moment=moment):
        return
    callbacks = flow.callbacks or {}
    wanted = [*callbacks.get(flow.status, []), *callbacks.get(ALWAYS, [])]
    if wanted:
        trigger.trigger([run_of(facts, flow=flow) for facts in wanted], atomic=False, strict=False, now=now)


def run_of(facts: Mapping[str, Any], *, flow: Flow) -> NewRun:
    """Return the run that a callback becomes."""
    run_at = facts.get("run_at")
    run = NewRun(**{**facts, "id": uuid7(), "run_at": run_at and datetime.fromisoformat(run_at)})
    return run._replace(flow_id=flow.pk)


def cancel_waiting(
    runs: Sequence[UUID], *, actor: str, reason: Reason = Reason.BY_USER, now: datetime | None = None
) -> list[UUID]:
    """waiting -> cancelled, with what that means for those that wait for them."""
    with store().own():
        places = rows.flows_of(store(), runs)
        if not places:
            return []
        rows.lock(store(), set(places.values()))
        return end_waiting(sorted(places), actor=actor, reason=reason, now=now)


def end_waiting(
    runs: Sequence[UUID], *, actor: str, reason: Reason = Reason.BY_USER, now: datetime | None
) -> list[UUID]:
    """Cancel waiting nodes of flows that are locked."""
    ended = rows.end(
        store(),
        runs,
        status=Status.CANCELLED,
        reason=reason,
        kind=Kind.CANCELLED,
        actor=actor,
        moment=store().clock(now),
    )
    consequences.of(dict.fromkeys(ended, Status.CANCELLED), now=now)
    return ended


def reopen(runs: Sequence[UUID], actor: str, now: datetime | None) -> None:
    """An operator retries nodes: their flow goes on, and what failed only because of them waits again."""
    places = rows.flows_of(store(), runs)
    if not places:
        return
    flows = rows.lock(store(), set(places.values()))
    nodes = FlowNode.objects.using(store().alias).filter(pk__in=list(places), outcome__isnull=False)
    opened = list(nodes.values_list("pk", flat=True))
    if not opened:
        return
    rows.reopen(store(), opened)
    moment = store().clock(now)
    wave, again = opened, list(opened)
    while wave:
        wave = rows.rest(store(), failed_below(wave), actor=actor, moment=moment)
        again += wave
    waiting = FlowEdge.objects.using(store().alias).filter(parent__in=again, child__waiting=True)
    freed = rows.recount(store(), set(waiting.values_list("child_id", flat=True)) | set(again))
    let_go(flows, freed, moment=moment)
    for flow in flows.values():
        flow.cancelled_at = flow.finished_at = None
        rows.count(store(), flow)
        rows.keep(store(), flow, moment=moment)


def failed_below(parents: Iterable[UUID]) -> list[UUID]:
    """Return the nodes that failed because of these, and that no other failed node would fail again."""
    found: set[UUID] = set()
    for some in rows.chunks(parents):
        edges = FlowEdge.objects.using(store().alias).filter(
            parent__in=some, child__outcome=Status.FAILED, child__run__reason=Reason.DEPENDENCY_FAILED
        )
        found |= set(edges.values_list("child_id", flat=True))
    kept: set[UUID] = set()
    for some in rows.chunks(sorted(found)):
        kept |= set(failing_edges().filter(child__in=some).values_list("child_id", flat=True))
    return sorted(found - kept)


def failing_edges() -> Any:
    """Return the edges whose child is to fail."""
    edges = FlowEdge.objects.using(store().alias).filter(policy=Policy.FAIL, parent__outcome__isnull=False)
    return edges.exclude(parent__outcome=Status.COMPLETED)
