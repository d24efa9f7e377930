"""A graph of calls as a developer writes it, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from openqueue.errors import FlowInvalid, PayloadInvalid
from openqueue.orders import Bound, Branch, Order
from openqueue.states import Policy

if TYPE_CHECKING:
    from openqueue.declaration import Task

OnFailure = Literal["fail", "continue", "block"]
LONGEST_NAME: Final = 200
SHOWN: Final = 20
"""Nodes of a cycle that a message names."""


class Node:
    """One call in a flow, to be named in the `after` of others."""

    __slots__ = ("after", "call", "name", "policy")

    def __init__(
        self, name: str, call: Bound[Any], *, after: Mapping[Node | str, Policy | None], policy: Policy | None
    ) -> None:
        self.name = name
        self.call = call
        self.after = after
        """What it waits for; the policy of that edge alone, or None."""
        self.policy = policy

    def __repr__(self) -> str:
        return f"<Node {self.name}>"


class Flow:
    """Calls that wait for each other. Nothing is written before `enqueue_flow(flow)`."""

    def __init__(self, name: str, *, on_failure: OnFailure = "fail") -> None:
        """Begin an empty graph.

        Args:
            name: what operators see; 1 to 200 characters.
            on_failure: what becomes of a node when one that it waits for does not complete: it fails as well, starts
                all the same (``continue``), or waits for an operator (``block``).
        """
        self.name = checked_name(name, what="flow name")
        self.policy = policy_of(on_failure)
        self.nodes: dict[str, Node] = {}
        self.callbacks: dict[str, list[Bound[Any]]] = {}
        self.counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Flow {self.name}: {len(self.nodes)} nodes>"

    def add(
        self,
        call: Bound[Any] | Task[..., Any] | Order[..., Any],
        payload: Mapping[str, Any] | None = None,
        /,
        *,
        name: str | None = None,
        after: Iterable[Node | str] | Mapping[Node | str, OnFailure] = (),
        on_failure: OnFailure | None = None,
    ) -> Node:
        """Add a call, and return it as a node that others may wait for.

        Args:
            call: what ``bind()`` returned; or a task, with its ``payload``.
            payload: the arguments by name, where ``call`` is not bound; what is wrong with them names the node.
            name: unique in the flow; without it the function's, numbered when repeated.
            after: nodes, or names of nodes that may be added later; a dictionary gives an edge a policy of its own.
            on_failure: the policy of this node's edges, in place of the flow's.

        Raises:
            FlowInvalid: the name is taken, or a policy is none.
            PayloadInvalid: an argument does not fit; its path begins with the name of the node.
        """
        task: Any = getattr(call, "task", call)
        chosen = (
            self.free_name(task.function.__name__) if name is None else checked_name(name, what="node name")
        )
        if chosen in self.nodes:
            raise FlowInvalid(
                f"Flow {self.name!r} has two nodes named {chosen!r}. Give one of them another name=."
            )
        bound = bound_of(call, payload, node=chosen)
        given = after if isinstance(after, Mapping) else dict.fromkeys(listed(after, node=chosen))
        edges = {node: None if one is None else policy_of(one) for node, one in given.items()}
        node = Node(chosen, bound, after=edges, policy=None if on_failure is None else policy_of(on_failure))
        self.nodes[chosen] = node
        return node

    def free_name(self, name: str) -> str:
        """Return a function's name, numbered when it is repeated."""
        name = name[: LONGEST_NAME - 12]
        while True:
            self.counts[name] += 1
            found = name if self.counts[name] == 1 else f"{name}-{self.counts[name]}"
            if found not in self.nodes:
                return found

    def when_completed(self, *calls: Bound[Any]) -> Flow:
        """Have these calls become runs when the flow has completed."""
        return self._when("completed", calls)

    def when_failed(self, *calls: Bound[Any]) -> Flow:
        """Have these calls become runs when the flow has failed."""
        return self._when("failed", calls)

    def when_ended(self, *calls: Bound[Any]) -> Flow:
        """Have these calls become runs when the flow has ended, however: completed, failed or cancelled."""
        return self._when("ended", calls)

    def _when(self, end: str, calls: Sequence[Bound[Any]]) -> Flow:
        self.callbacks.setdefault(end, []).extend(bound_of(call, None, node=f"when_{end}") for call in calls)
        return self

    @classmethod
    def of_tree(cls, tree: Branch | Bound[Any], *, on_failure: OnFailure = "fail") -> Flow:
        """Return the flow of a tree: children first, and then the call that they are for."""
        root = tree.call if isinstance(tree, Branch) else tree
        flow = cls(root.task.function.__name__, on_failure=on_failure)
        done: list[Node] = []
        todo: list[tuple[Bound[Any] | Branch, int | None]] = [(tree, None)]
        while todo:  # a tree may be deeper than Python's stack
            part, children = todo.pop()
            if isinstance(part, Branch) and children is None:
                todo.append((part, len(part.children)))
                todo += [(child, None) for child in reversed(part.children)]
                continue
            after = done[len(done) - (children or 0) :]
            del done[len(done) - (children or 0) :]
            done.append(flow.add(part.call if isinstance(part, Branch) else part, after=after))
        return flow

    # --- what is wrong with it ----------------------------------------------------------------------------------

    def edges(self) -> list[tuple[str, str, Policy]]:
        """Return (parent, child, policy) of the whole graph.

        Raises:
            FlowInvalid: it is empty, or a node waits for one that is not there, for itself, or in a circle.
        """
        if not self.nodes:
            raise FlowInvalid(f"Flow {self.name!r} has no nodes. Add at least one: flow.add(task.bind(...)).")
        found: dict[tuple[str, str], Policy] = {}
        for child in self.nodes.values():
            for parent, own in child.after.items():
                name = parent.name if isinstance(parent, Node) else parent
                known = self.nodes.get(name)
                if known is None or (isinstance(parent, Node) and known is not parent):
                    raise FlowInvalid(
                        f"Node {child.name!r} of flow {self.name!r} waits for {name!r}, which is no node of it. "
                        f"Add that to this flow, or mend the name."
                    )
                if known is child:
                    raise FlowInvalid(
                        f"Node {name!r} of flow {self.name!r} waits for itself: {name} -> {name}."
                    )
                found[name, child.name] = own or child.policy or self.policy
        edges = [(parent, child, policy) for (parent, child), policy in found.items()]
        refuse_circle(self.name, self.nodes, edges)
        return edges


def refuse_circle(flow: str, nodes: Iterable[str], edges: Sequence[tuple[str, str, Policy]]) -> None:
    """Raise FlowInvalid with the path of a circle, if there is one."""
    waits_for: dict[str, list[str]] = {name: [] for name in nodes}
    below: dict[str, list[str]] = {name: [] for name in waits_for}
    for parent, child, _ in edges:
        waits_for[child].append(parent)
        below[parent].append(child)
    left = {name: len(parents) for name, parents in waits_for.items()}
    free = [name for name, count in left.items() if not count]
    while free:
        name = free.pop()
        del left[name]
        for child in below[name]:
            left[child] -= 1
            if not left[child]:
                free.append(child)
    if not left:
        return
    at, path = min(left), []
    while at not in path:  # each that is left waits for another that is left
        path.append(at)
        at = next(parent for parent in waits_for[at] if parent in left)
    circle = [at, *reversed(path[path.index(at) + 1 :]), at]
    shown = circle if len(circle) <= SHOWN else [*circle[: SHOWN - 1], "...", at]
    raise FlowInvalid(f"Flow {flow!r} goes in a circle: {' -> '.join(shown)}. Take one of these edges out.")


def chain(*calls: Bound[Any], name: str = "chain", on_failure: OnFailure = "fail") -> Flow:
    """Return a flow in which each call waits for the one before it."""
    flow = Flow(name, on_failure=on_failure)
    before: list[Node] = []
    for call in calls:
        before = [flow.add(call, after=before)]
    return flow


def group(
    calls: Iterable[Bound[Any]],
    *,
    then: Bound[Any] | None = None,
    name: str = "group",
    on_failure: OnFailure = "fail",
) -> Flow:
    """Return a flow of calls that wait for nobody, and of one that waits for all of them."""
    flow = Flow(name, on_failure=on_failure)
    nodes = [flow.add(call) for call in calls]
    if then is not None:
        flow.add(then, after=nodes)
    return flow


def bound_of(call: Any, payload: Mapping[str, Any] | None, *, node: str) -> Bound[Any]:
    """Return a checked call; what is wrong with its payload names the node."""
    if isinstance(call, Bound):
        if payload is not None:
            raise FlowInvalid(
                f"Node {node!r}: the call is bound already. Give the arguments to bind() alone."
            )
        return unkeyed(call, node=node)
    if isinstance(call, Branch) or not hasattr(call, "using"):
        raise FlowInvalid(f"Node {node!r} is a {type(call).__name__}. Add what task.bind(...) returns.")
    order = call.using()
    try:
        payload_text = order.encode((), payload or {})
        return unkeyed(Bound(task=order.task, options=order.options, payload=payload_text), node=node)
    except PayloadInvalid as error:
        raise type(error)([(f"{node}.{path}", reason) for path, reason in error.errors]) from None


def unkeyed(call: Bound[Any], *, node: str) -> Bound[Any]:
    """Refuse a node that might be no run of this flow: whose key another run has."""
    if call.options.dedupe_key is not None:
        raise FlowInvalid(
            f"Node {node!r} has dedupe_key={call.options.dedupe_key!r}, and a node is a run of its flow alone. Say "
            f".using(dedupe_key=None), and give the key to what triggers the flow."
        )
    return call


def listed(after: Any, *, node: str) -> list[Node | str]:
    if isinstance(after, str | Node):
        raise FlowInvalid(f"Node {node!r}: after={after!r} must be a list of nodes or names.")
    found = list(after)
    wrong = [one for one in found if not isinstance(one, str | Node)]
    if wrong:
        raise FlowInvalid(f"Node {node!r}: after= has {wrong[0]!r}, which is neither a node nor a name.")
    return found


def policy_of(value: Any) -> Policy:
    try:
        return Policy(value)
    except ValueError:
        raise FlowInvalid(f"on_failure={value!r} must be 'fail', 'continue' or 'block'") from None


def checked_name(name: Any, *, what: str) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise FlowInvalid(f"{what} {name!r} must be 1 to {LONGEST_NAME} printable characters")
    return name
