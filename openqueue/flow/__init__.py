"""Flows: calls that wait for each other, triggered as one."""

from __future__ import annotations

from openqueue.flow.context import FlowContext
from openqueue.flow.definition import Flow, Node, chain, group
from openqueue.flow.enqueue import aenqueue_flow, enqueue_flow
from openqueue.flow.handle import FlowHandle

__all__ = [
    "Flow",
    "FlowContext",
    "FlowHandle",
    "Node",
    "aenqueue_flow",
    "chain",
    "enqueue_flow",
    "group",
]
