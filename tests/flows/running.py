"""A flow, and a worker that ends its nodes by name, on the test's clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openqueue.flow import FlowHandle
from openqueue.models import Flow as FlowRow
from openqueue.models import FlowNode
from tests.store.fleet import FakeWorker, completes

Shape = dict[str, list[str]]
Begin = Callable[..., "Running"]


class Running:
    """A flow, and a worker that ends its nodes by name."""

    def __init__(self, handle: FlowHandle, worker: FakeWorker) -> None:
        self.handle, self.worker = handle, worker
        self.held: dict[str, Any] = {}
        worker.__dict__.setdefault("flows", {})[handle.id] = self

    def claim(self) -> set[str]:
        """Claim what is due, also of other flows; return the names of the nodes of this one that are held."""
        for claimed in self.worker.claim(10_000):
            name = FlowNode.objects.get(pk=claimed.run_id).name
            self.worker.__dict__["flows"][claimed.flow_id].held[name] = claimed
        return set(self.held)

    def end(self, *names: str, how: Callable[..., Any] = completes) -> None:
        self.claim()
        self.worker.settle(*(how(self.held.pop(name)) for name in names))

    @property
    def statuses(self) -> dict[str, str]:
        return {name: run.status for name, run in self.handle.nodes.items()}

    @property
    def row(self) -> FlowRow:
        return FlowRow.objects.get(pk=self.handle.id)
