"""What the body of a node sees of its flow: `ctx.flow`. Everything is read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from asgiref.sync import sync_to_async

from openqueue.conf import config
from openqueue.core import flow_acts
from openqueue.core.flow_acts import Addition
from openqueue.errors import FlowInvalid, LeaseLost, TaskFailed
from openqueue.flow.definition import OnFailure, bound_of, checked_name, listed, policy_of
from openqueue.flow.enqueue import new_runs
from openqueue.flow.handle import FlowHandle
from openqueue.handle import RunHandle
from openqueue.models import FlowEdge, FlowNode
from openqueue.orders import Bound
from openqueue.states import Policy, Status

AT_ONCE: Final = 1_000
"""Results that one statement reads."""


class Results(Mapping[str, Any]):
    """The results of the nodes that this one waited for, by name, in their order; read when they are asked for."""

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self._names: dict[str, UUID] | None = None

    @property
    def names(self) -> dict[str, UUID]:
        """The runs of those that completed, by name."""
        if self._names is None:
            above = FlowEdge.objects.using(config.database).filter(
                child=self.run_id, parent__outcome=Status.COMPLETED
            )
            self._names = dict(above.order_by("parent__number").values_list("parent__name", "parent_id"))
        return self._names

    def __getitem__(self, name: str) -> Any:
        return dict(self.read([name]))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def items(self) -> Any:
        """Return (name, result) of all, a thousand a statement."""
        return list(self.read(list(self.names)))

    def values(self) -> Any:
        """Return the results of all, a thousand a statement."""
        return [result for _, result in self.read(list(self.names))]

    def read(self, names: list[str]) -> Iterator[tuple[str, Any]]:
        for at in range(0, len(names), AT_ONCE):
            some = {name: self.names[name] for name in names[at : at + AT_ONCE]}
            nodes = FlowNode.objects.using(config.database).filter(pk__in=list(some.values()))
            found = dict(nodes.values_list("pk", "run__result"))
            yield from ((name, found[run]) for name, run in some.items())


class FlowContext:
    """A node's view of its flow."""

    __slots__ = ("_added", "_results", "id", "run_id", "token")

    def __init__(self, *, flow_id: UUID, run_id: UUID, token: UUID | None) -> None:
        self.id = flow_id
        self.run_id = run_id
        self.token = token
        self._results: Results | None = None
        self._added = 0

    @property
    def handle(self) -> FlowHandle:
        """The hold on the flow, as it stands now."""
        return FlowHandle.get(self.id)

    @property
    def name(self) -> str:
        """The name of this node; empty for a callback, which is none."""
        nodes = FlowNode.objects.using(config.database).filter(pk=self.run_id)
        return nodes.values_list("name", flat=True).first() or ""

    def result(self, name: str) -> Any:
        """Return what a node of the flow returned.

        Raises:
            KeyError: the flow has no node of that name.
            TaskFailed: it has not completed.
        """
        nodes = FlowNode.objects.using(config.database).filter(flow_id=self.id, name=name)
        row = nodes.values_list(
            "pk", "outcome", "run__status", "run__reason", "run__error", "run__result"
        ).first()
        if row is None:
            raise KeyError(f"this flow has no node {name!r}")
        run, outcome, status, reason, error, result = row
        if outcome != Status.COMPLETED:
            raise TaskFailed(run, status=status, reason=reason, error=error)
        return result

    async def aresult(self, name: str) -> Any:
        """Return what a node of the flow returned; see `result`."""
        return await sync_to_async(self.result)(name)

    @property
    def results(self) -> Mapping[str, Any]:
        """The results of the nodes that this one waited for and that completed, by name."""
        if self._results is None:
            self._results = Results(self.run_id)
        return self._results

    async def aresults(self) -> dict[str, Any]:
        """Return the results of the nodes that this one waited for, all read at once."""
        return await sync_to_async(lambda: dict(self.results.items()))()

    @property
    def failed(self) -> dict[str, str]:
        """How those ended that this node waited for and that did not complete, by name."""
        above = FlowEdge.objects.using(config.database).filter(
            child=self.run_id, parent__outcome__isnull=False
        )
        above = above.exclude(parent__outcome=Status.COMPLETED).order_by("parent__number")
        return {name: str(outcome) for name, outcome in above.values_list("parent__name", "parent__outcome")}

    async def afailed(self) -> dict[str, str]:
        """Return how those ended that did not complete; see `failed`."""
        return await sync_to_async(lambda: self.failed)()

    def add(
        self,
        *calls: Bound[Any],
        name: str | None = None,
        after: Iterable[str] = (),
        before: Iterable[str] = (),
        on_failure: OnFailure = "fail",
    ) -> list[RunHandle[Any]]:
        """Add nodes to this flow while it runs, in the open transaction if there is one.

        A later attempt of this run that adds the same again gets what stands: nodes are known by name, and without a
        name by the order in which an attempt adds them.

        Args:
            calls: what ``bind()`` returned.
            name: of the node, where there is one call.
            after: names of nodes that the new ones wait for; this node too may be one of them.
            before: names of waiting nodes that shall wait for the new ones as well.
            on_failure: what becomes of the new ones when one of ``after`` does not complete.

        Raises:
            FlowInvalid: a name is taken or unknown, a node of ``before`` has begun, or a circle would be made.
            LeaseLost: this attempt is not the one that counts any more.
        """
        if name is not None and len(calls) != 1:
            raise FlowInvalid(f"name={name!r} is for one call, and {len(calls)} are added.")
        if self.token is None or not calls:
            if not calls:
                return []
            raise LeaseLost(self.run_id)
        policy: Policy = policy_of(on_failure)
        edges = dict.fromkeys(
            [str(getattr(one, "name", one)) for one in listed(after, node=name or "new")], policy
        )
        own = self.name
        additions = []
        bound = [bound_of(call, None, node=name or "new") for call in calls]
        for call, run in zip(bound, new_runs(bound), strict=True):
            self._added += 1
            chosen = name or f"{own[:150]}/{call.task.function.__name__[:30]}-{self._added}"
            additions.append(Addition(checked_name(chosen, what="node name"), run, edges))
        joins = [str(getattr(one, "name", one)) for one in listed(before, node=name or "new")]
        found = flow_acts.add(self.id, additions, by=self.run_id, token=self.token, before=joins)
        return [
            RunHandle(
                id=found[a.name],
                task_id=a.run.task_id,
                queue=a.run.queue,
                status=Status.WAITING if a.after else Status.QUEUED,
            )
            for a in additions
        ]

    async def aadd(self, *calls: Bound[Any], **options: Any) -> list[RunHandle[Any]]:
        """Add nodes to this flow; see `add`."""
        return await sync_to_async(self.add)(*calls, **options)
