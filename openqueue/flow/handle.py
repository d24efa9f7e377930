"""What `enqueue_flow()` returns: a light hold on a flow."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from openqueue.conf import config
from openqueue.core import flow_acts
from openqueue.errors import FlowFailed
from openqueue.flow.looks import Looks
from openqueue.handle import RunHandle
from openqueue.models import Flow, FlowNode
from openqueue.states import FLOW_ENDED, FlowStatus, Status


class FlowHandle:
    """A flow as it was when last looked at; `refresh()` looks again."""

    __slots__ = ("_row", "id", "name", "status")

    def __init__(self, *, id: UUID, name: str, status: str) -> None:
        self.id = id
        self.name = name
        self.status = status
        """running, blocked, completed, failed or cancelled."""
        self._row: Flow | None = None

    def __repr__(self) -> str:
        return f"<FlowHandle {self.name} {self.id} {self.status}>"

    @classmethod
    def get(cls, flow_id: UUID | str) -> FlowHandle:
        """Return the hold on a flow by its id.

        Raises:
            Flow.DoesNotExist: its transaction was rolled back, or retention deleted it.
        """
        row = Flow.objects.using(config.database).get(pk=flow_id)
        return cls(id=row.pk, name=row.name, status=row.status)

    @property
    def row(self) -> Flow:
        """The flow's row as last read: its counts and times."""
        if self._row is None:
            self.refresh()
        assert self._row is not None  # noqa: S101  # refresh() has read it or raised
        return self._row

    def refresh(self) -> FlowHandle:
        """Read the flow again.

        Raises:
            Flow.DoesNotExist: its transaction was rolled back, or retention deleted it.
        """
        self._row = Flow.objects.using(config.database).get(pk=self.id)
        self.status = self._row.status
        return self

    async def arefresh(self) -> FlowHandle:
        """Read the flow again."""
        return await sync_to_async(self.refresh)()

    @property
    def nodes(self) -> dict[str, RunHandle[Any]]:
        """The runs by the names of their nodes, in the order in which they were added, as they are now."""
        names = ("name", "run_id", "run__task_id", "run__queue", "run__status")
        rows = FlowNode.objects.using(config.database).filter(flow_id=self.id).order_by("number")
        return {
            name: RunHandle(id=run, task_id=task, queue=queue, status=status)
            for name, run, task, queue, status in rows.values_list(*names)
        }

    async def anodes(self) -> dict[str, RunHandle[Any]]:
        """Return the runs by name; see `nodes`."""
        return await sync_to_async(lambda: self.nodes)()

    def wait(self, timeout: float | None = None) -> FlowHandle:
        """Wait until the flow has completed. ``timeout`` is in seconds. A blocked flow waits for an operator.

        Raises:
            WaitTimeout: it did not end in time; it goes on.
            FlowFailed: it ended failed or cancelled.
            TransactionManagementError: called inside atomic(), where the flow cannot start before the wait ends.
        """
        if connections[config.database].in_atomic_block:
            raise transaction.TransactionManagementError(
                "flow.wait() inside atomic() would wait for runs that nobody can see before the commit. "
                "Leave the block first."
            )
        looks = Looks(timeout)
        while self.refresh().status not in FLOW_ENDED:
            time.sleep(looks.pause())
        return self._outcome()

    async def aended(self, timeout: float | None = None) -> FlowHandle:
        """Wait as `wait` does, without blocking the loop."""
        looks = Looks(timeout)
        while (await self.arefresh()).status not in FLOW_ENDED:
            await asyncio.sleep(looks.pause())
        return await sync_to_async(self._outcome)()

    def _outcome(self) -> FlowHandle:
        if self.status == FlowStatus.COMPLETED:
            return self
        failed = FlowNode.objects.using(config.database).filter(flow_id=self.id)
        names = failed.exclude(outcome=Status.COMPLETED).order_by("number").values_list("name", flat=True)
        raise FlowFailed(self.id, status=self.status, failed=list(names[:20]))

    def cancel(self, *, actor: str = "") -> str:
        """Cancel what has not ended: `cancelled`, `requested` (running bodies hear of it), `finished` or `missing`."""
        answer = flow_acts.cancel(self.id, actor=actor)
        self._row = None
        return answer

    async def acancel(self, *, actor: str = "") -> str:
        """Cancel the flow; see `cancel`."""
        return await sync_to_async(partial(self.cancel, actor=actor))()

    def retry(self, *, actor: str = "") -> int:
        """Go on from the nodes that did not complete, keeping what did; return how many begin anew."""
        retried = flow_acts.retry(self.id, actor=actor)
        self._row = None
        return len(retried)

    async def aretry(self, *, actor: str = "") -> int:
        """Go on from the nodes that did not complete; see `retry`."""
        return await sync_to_async(partial(self.retry, actor=actor))()
