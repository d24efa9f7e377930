"""The steps of a flow's graph, made of what control tells of a flow's nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from openqueue.control.flows import NodeFacts
from openqueue.states import Status
from openqueue_workbench.drawing.groups import Step


def steps(nodes: Sequence[NodeFacts], *, url: Callable[[NodeFacts], str], now: datetime) -> list[Step]:
    """Return the nodes as steps, in their order; ``url`` leads to a node's run or to its panel."""
    known = {node.name for node in nodes}
    return [
        Step(
            key=node.name,
            name=node.name,
            status=node.status,
            url=url(node),
            # Of a long flow not all nodes are read.
            after=tuple(name for name in node.after if name in known),
            seconds=_seconds(node, now=now),
            note=_note(node),
        )
        for node in nodes
    ]


def _seconds(node: NodeFacts, *, now: datetime) -> float | None:
    if node.started_at is None:
        return None
    if node.finished_at is None and node.status != Status.RUNNING:
        return None
    return ((node.finished_at or now) - node.started_at).total_seconds()


def _note(node: NodeFacts) -> str:
    if not node.blocked_by:
        return ""
    first, *more = node.blocked_by
    if more:
        return _("blocked by %(name)s and %(count)s more") % {"name": first, "count": len(more)}
    return _("blocked by %(name)s") % {"name": first}
