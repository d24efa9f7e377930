"""What the API answers about flows, as values, and what a flow is triggered from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from openqueue.client.values import Options


@dataclass(frozen=True, slots=True)
class NewNode:
    """A call in a flow: `NewNode("pack", "shop.pack", {"order": 42}, after=["pay"])`."""

    name: str
    """Unique in the flow."""
    task_id: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    after: Sequence[str] = ()
    """Names of the nodes that it waits for."""
    on_failure: str | None = None
    """fail, continue or block: when one of those does not complete. None: what the flow says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowNode:
    """One node of a flow; its run is `run_id`."""

    run_id: UUID
    name: str
    number: int
    task_id: str
    queue: str
    status: str
    reason: str
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
class ShownFlow(Flow):
    """One flow with its graph."""

    nodes: Sequence[FlowNode]
    nodes_left_off: bool
    """There are more than the first thousand."""
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPage:
    """A page of flows."""

    flows: Sequence[Flow]
    next: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowAnswer:
    """What came of an act, and the flow as it is now."""

    outcome: str
    flow: Flow
