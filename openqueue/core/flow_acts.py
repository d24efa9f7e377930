"""What is done to a flow as a whole: cancelled, retried, mended, added to. Each act holds the flow's lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from openqueue.core import cancellation, flows, rehearsal, reopening, transitions, trigger
from openqueue.errors import FlowInvalid, LeaseLost, QueueClosed
from openqueue.models import Claim, Flow, FlowEdge, FlowNode, Run
from openqueue.states import FINAL, Policy, Status
from openqueue.store import flows as rows
from openqueue.store import store
from openqueue.types import NewRun

LOOKED_AT: Final = timedelta(seconds=60)
"""How often the sweep looks at an unfinished flow."""


class Addition(NamedTuple):
    """A node for a flow that runs."""

    name: str
    run: NewRun
    after: Mapping[str, Policy]


# --- cancel -----------------------------------------------------------------------------------------------------


def cancel(flow_id: UUID, *, actor: str, now: datetime | None = None) -> str:
    """End what waits at once, and ask what runs to stop; answer `cancelled`, `requested`, `finished` or `missing`."""
    answer = transitions.again(partial(stop, flow_id, actor=actor, now=now))
    if answer != cancellation.REQUESTED:
        return answer
    return cancel_active(flow_id, actor=actor, now=now)


def stop(flow_id: UUID, *, actor: str, now: datetime | None = None) -> str:
    """Cancel the nodes that wait for others, so that nothing more is let go; `requested`: some are on their way."""
    with store().own():
        flow = rows.lock(store(), [flow_id]).get(flow_id)
        if flow is None:
            return cancellation.MISSING
        if flow.finished_at is not None:
            return cancellation.FINISHED
        flow.cancelled_at = store().clock(now)
        rows.keep(store(), flow, moment=flow.cancelled_at)
        waiting = FlowNode.objects.using(store().alias).filter(flow_id=flow_id, waiting=True)
        flows.end_waiting(sorted(waiting.values_list("pk", flat=True)), actor=actor, now=now)
    return cancellation.REQUESTED


def cancel_active(flow_id: UUID, *, actor: str, now: datetime | None = None) -> str:
    """Cancel the nodes of a stopped flow that are due, delayed or running."""
    nodes = FlowNode.objects.using(store().alias).filter(flow_id=flow_id, outcome__isnull=True)
    active = list(nodes.order_by("pk").values_list("pk", flat=True))
    answers = cancellation.cancel(active, actor=actor, now=now) if active else {}
    running = cancellation.REQUESTED in answers.values()
    return cancellation.REQUESTED if running else cancellation.CANCELLED


# --- retry ------------------------------------------------------------------------------------------------------


def retry(flow_id: UUID, *, actor: str, now: datetime | None = None) -> list[UUID]:
    """Begin the nodes anew that did not complete; those that wait for others of them wait again."""
    return transitions.again(partial(_retry, flow_id, actor=actor, now=now or rehearsal.moment()))


def _retry(flow_id: UUID, *, actor: str, now: datetime | None) -> list[UUID]:
    with store().own():
        flow = rows.lock(store(), [flow_id]).get(flow_id)
        if flow is None:
            return []
        alias = store().alias
        failed = FlowNode.objects.using(alias).filter(flow_id=flow_id, outcome__isnull=False)
        failed = failed.exclude(outcome=Status.COMPLETED)
        again = set(failed.values_list("pk", flat=True))
        if not again:
            return []
        edges = (
            FlowEdge.objects.using(alias)
            .filter(child__flow_id=flow_id)
            .exclude(child__outcome=Status.COMPLETED)
        )
        unfinished = edges.exclude(parent__outcome=Status.COMPLETED)  # those that failed begin anew with this
        behind = again & set(unfinished.values_list("child_id", flat=True))
        moment = store().clock(now)
        rows.rest(store(), sorted(behind), actor=actor, moment=moment)
        requeue(sorted(again - behind), actor=actor, now=now)
        waiting = FlowNode.objects.using(alias).filter(flow_id=flow_id, waiting=True)
        flows.let_go(
            {flow_id: flow}, rows.recount(store(), waiting.values_list("pk", flat=True)), moment=moment
        )
        flow.cancelled_at = flow.finished_at = None
        rows.count(store(), flow)
        rows.keep(store(), flow, moment=moment)
    return sorted(again)


def requeue(runs: Sequence[UUID], *, actor: str, now: datetime | None) -> None:
    """Final -> queued, for nodes of a locked flow."""
    labels = {
        run.pk: run
        for some in rows.chunks(runs)
        for run in Run.objects.using(store().alias).filter(pk__in=some).only(*reopening.COLUMNS)
    }
    by_runtime: dict[str, list[UUID]] = defaultdict(list)
    for pk, run in labels.items():
        by_runtime[run.runtime].append(pk)
    for runtime, some in by_runtime.items():
        opened = store().requeue(some, actor=actor, head_start=flows.head_start(runtime), now=now)
        rows.reopen(store(), [run for run, *_ in opened])
        reopening.announce(opened, runs=labels)


# --- mend -------------------------------------------------------------------------------------------------------


def unfinished(*, limit: int, now: datetime | None = None) -> list[UUID]:
    """Return flows that nobody has looked at for a while, and those with a node that nothing keeps waiting."""
    alias = store().alias
    before = store().clock(now) - LOOKED_AT
    old = (
        Flow.objects.using(alias)
        .filter(finished_at__isnull=True, checked_at__lt=before)
        .order_by("checked_at")
    )
    forgotten = FlowNode.objects.using(alias).filter(waiting=True, remaining=0)
    found = [*forgotten.values_list("flow_id", flat=True)[:limit], *old.values_list("pk", flat=True)[:limit]]
    return list(dict.fromkeys(found))[:limit]


def mend(flow_id: UUID, *, now: datetime | None = None) -> int:
    """Look at every unfinished node of a flow, and do what should have been done; return how many had to be mended."""
    return transitions.again(partial(_mend, flow_id, now=now))


def _mend(flow_id: UUID, *, now: datetime | None) -> int:
    with store().own():
        flow = rows.lock(store(), [flow_id]).get(flow_id)
        if flow is None or flow.finished_at is not None:
            return 0
        moment = store().clock(now)
        ended, moved, waits = compare(flow_id)
        for waiting, some in moved.items():
            FlowNode.objects.using(store().alias).filter(pk__in=some).update(waiting=waiting)
        before = remaining(flow_id)
        rows.count(store(), flow)
        freed = rows.recount(store(), waits)
        failing = flows.failing_edges().filter(child__flow_id=flow_id, child__waiting=True)
        lost: dict[UUID, list[UUID]] = defaultdict(list)
        for parent, child in failing.values_list("parent_id", "child_id"):
            lost[child].append(parent)
        ended |= dict.fromkeys(flows.fail(lost, moment=moment), Status.FAILED)
        freed = [run for run in freed if run not in ended]
        wrong = {run for run, count in remaining(flow_id).items() if before.get(run) != count} | {*freed}
        flows.let_go({flow_id: flow}, freed, moment=moment)
        flow.checked_at = moment
        flows.advance({flow_id: flow}, ended, now=now)
        flows.keep(flow, moment=moment, now=now)
        return len(ended) + len(wrong) + sum(map(len, moved.values()))


def remaining(flow_id: UUID) -> dict[UUID, int]:
    """Return how many keep each waiting node of a flow waiting, as it is written down."""
    nodes = FlowNode.objects.using(store().alias).filter(flow_id=flow_id, waiting=True)
    return dict(nodes.values_list("pk", "remaining"))


def compare(flow_id: UUID) -> tuple[dict[UUID, Status], dict[bool, list[UUID]], list[UUID]]:
    """Compare the unfinished nodes of a locked flow with their runs.

    Returns those that have ended unheard, those that wait or wait not unlike their run, and those that wait.
    """
    nodes = FlowNode.objects.using(store().alias).filter(flow_id=flow_id, outcome__isnull=True)
    places = dict(nodes.values_list("pk", "waiting"))
    statuses: dict[UUID, str] = {}
    for some in rows.chunks(places):
        runs = Run.objects.using(store().alias).filter(pk__in=some)
        statuses |= dict(runs.values_list("pk", "status"))
    ended: dict[UUID, Status] = {}
    moved: dict[bool, list[UUID]] = defaultdict(list)
    for run, waiting in places.items():
        status = statuses.get(run)
        if status is None:  # somebody deleted its run
            ended[run] = Status.FAILED
        elif status in FINAL:
            ended[run] = Status(status)
        elif waiting != (status == Status.WAITING):
            moved[status == Status.WAITING].append(run)
    return ended, moved, [run for run, status in statuses.items() if status == Status.WAITING]


# --- add --------------------------------------------------------------------------------------------------------


def add(
    flow_id: UUID,
    additions: Sequence[Addition],
    *,
    by: UUID,
    token: UUID,
    before: Sequence[str] = (),
    now: datetime | None = None,
) -> dict[str, UUID]:
    """Add nodes to a flow that runs, for one of its own; return their runs. What an earlier attempt added stands.

    Raises:
        FlowInvalid: a name is taken or unknown, a node of ``before`` has begun, or a circle would be made.
        LeaseLost: the attempt that adds is not the one that counts.
        QueueClosed: a queue rejects; nothing was added.
    """
    with store().own():
        try:
            return _add(flow_id, additions, by=by, token=token, before=before, now=now)
        # Nothing was written: the caller's transaction goes on.
        except (FlowInvalid, LeaseLost, QueueClosed) as error:
            refusal = error
    raise refusal


def _add(
    flow_id: UUID,
    additions: Sequence[Addition],
    *,
    by: UUID,
    token: UUID,
    before: Sequence[str],
    now: datetime | None,
) -> dict[str, UUID]:
    flow = rows.lock(store(), [flow_id]).get(flow_id)
    if flow is None or not Claim.objects.using(store().alias).filter(pk=by, token=token).exists():
        raise LeaseLost(by)
    if flow.cancelled_at is not None:
        raise FlowInvalid(f"Flow {flow.name!r} was cancelled: nothing can be added to it.")
    names = {a.name for a in additions} | {n for a in additions for n in a.after} | {*before}
    known = {
        node.name: node
        for some in rows.chunks(sorted(names))
        for node in FlowNode.objects.using(store().alias).filter(flow_id=flow_id, name__in=some)
    }
    taken = [a.name for a in additions if a.name in known and known[a.name].added_by != by]
    if taken:
        raise FlowInvalid(
            f"Flow {flow.name!r} has a node named {taken[0]!r}. Give the new one another name=."
        )
    fresh = [a for a in additions if a.name not in known]
    if fresh:
        write(flow, fresh, known=known, by=by, before=before, now=now)
    found = {a.name: known[a.name].pk for a in additions if a.name in known}
    return found | {a.name: a.run.id for a in fresh}


def write(
    flow: Flow,
    fresh: Sequence[Addition],
    *,
    known: Mapping[str, FlowNode],
    by: UUID,
    before: Sequence[str],
    now: datetime | None,
) -> None:
    new = {addition.name: addition.run.id for addition in fresh}
    nodes, edges, runs = [], [], []
    for number, addition in enumerate(fresh, start=flow.total):
        remaining = 0
        for name, policy in addition.after.items():
            parent = known.get(name)
            if name not in new and parent is None:
                raise FlowInvalid(
                    f"Node {addition.name!r} waits for {name!r}, which is no node of {flow.name!r}."
                )
            outcome = parent.outcome if parent is not None else None
            if outcome is not None and outcome != Status.COMPLETED and policy != Policy.CONTINUE:
                raise FlowInvalid(
                    f"Node {addition.name!r} would wait for {name!r}, which has ended {outcome}."
                )
            remaining += not rows.is_satisfied(outcome, policy)
            edges.append(
                FlowEdge(parent_id=new.get(name) or parent.pk, child_id=addition.run.id, policy=policy)  # type: ignore[union-attr]  # one of both knows it
            )
        run = addition.run
        nodes.append(
            FlowNode(run_id=run.id, flow=flow, name=addition.name, number=number, waiting=remaining > 0,
                     remaining=remaining, added_by=by, delay=run.delay, run_at=run.run_at, ttl=run.ttl)
        )  # fmt: skip
        runs.append(run._replace(flow_id=flow.pk, waiting=remaining > 0))
    joins = [join_of(known.get(name), name, flow=flow) for name in before]
    refuse_circle(flow, starts=joins, after={known[n].pk for a in fresh for n in a.after if n in known})
    skipped = trigger.write(runs, now=now)
    for join in joins:
        edges += [FlowEdge(parent_id=run, child_id=join.pk, policy=flow.policy) for run in new.values()]
        FlowNode.objects.using(store().alias).filter(pk=join.pk).update(remaining=join.remaining + len(new))
    rows.insert(store(), flow=None, nodes=nodes, edges=edges)
    flow.total += len(nodes)
    flow.waiting += sum(node.waiting for node in nodes)
    flow.active += sum(not node.waiting for node in nodes)
    rows.keep(store(), flow, moment=store().clock(now))
    flows.skip(skipped, now=now)


def join_of(node: FlowNode | None, name: str, *, flow: Flow) -> FlowNode:
    """Return a node that can still wait for more."""
    if node is None:
        raise FlowInvalid(f"before= names {name!r}, which is no node of {flow.name!r}.")
    if not node.waiting:
        raise FlowInvalid(f"before= names {name!r}, which waits no more. Add to it before it is let go.")
    return node


def refuse_circle(flow: Flow, *, starts: Sequence[FlowNode], after: set[UUID]) -> None:
    """Raise FlowInvalid when what is to come before ``starts`` would have to wait for something behind them."""
    seen: set[UUID] = set()
    wave: Any = {node.pk for node in starts}
    while wave:
        if wave & after:
            names = (
                FlowNode.objects.using(store().alias)
                .filter(pk__in=wave & after)
                .values_list("name", flat=True)
            )
            raise FlowInvalid(
                f"Flow {flow.name!r} would go in a circle: {starts[0].name} -> ... -> {names[0]} -> {starts[0].name}."
            )
        seen |= wave
        found = (
            FlowEdge.objects.using(store().alias).filter(parent__in=wave).values_list("child_id", flat=True)
        )
        wave = set(found) - seen
