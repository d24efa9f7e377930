"""Workers that are told things; the outbox, what operators did, and how runtimes stand."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Reason, Why
from openqueue.api.runs import QueueName, Text
from openqueue.api.views import ApiView
from openqueue.control import activity, health, worker_access
from openqueue.control.activity import ActivityPage
from openqueue.control.callers import Right
from openqueue.control.health import HealthReport
from openqueue.control.outbox import STATES
from openqueue.control.worker_access import Flushed, OutboxAnswer, WorkerAnswer

Unset = msgspec.UnsetType
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
OF_AN_ACT: Final = (404, 409, 413, 415)


class OutboxQuery(msgspec.Struct, forbid_unknown_fields=True):
    """What waits."""

    state: Literal[STATES] | Unset = msgspec.UNSET  # type: ignore[valid-type]  # the table's own
    queue: QueueName | Unset = msgspec.UNSET
    runtime: Text | Unset = msgspec.UNSET
    after: Annotated[UUID, msgspec.Meta(description="`next` of a page.")] | Unset = msgspec.UNSET
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class Flushing(msgspec.Struct, forbid_unknown_fields=True):
    """What to announce at once; without a queue or a runtime, all that waits."""

    queue: QueueName | None = None
    runtime: Text | None = None
    announced: bool = False
    """Those too that were announced; they are sent again where the broker has lost them."""
    reason: Reason = ""


class ActivityQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Whose acts, which, on what, when."""

    actor: Text | Unset = msgspec.UNSET
    act: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=60, description="A verb, or `queue.` for all.")]
        | Unset
    ) = msgspec.UNSET
    object: Text | Unset = msgspec.UNSET
    since: Moment | Unset = msgspec.UNSET
    before: Moment | Unset = msgspec.UNSET
    older: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1, description="`older` of a page.")] | Unset = (
        msgspec.UNSET
    )
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class Telling(ApiView):
    """What a worker is told."""

    act = ""
    section = "workers"

    def post(self, request: Request, worker_id: UUID) -> Response:
        """Tell it."""
        why = self.body(request, Why)
        caller = self.caller(request)
        return Response(worker_access.tell(worker_id, self.act, caller=caller, reason=why.reason))


def telling(id: str) -> Operation:
    """Return the operation of an act on a worker."""
    return Operation(
        id=id,
        right=Right.OPERATE,
        whole=True,
        body=Why,
        body_required=False,
        answers={200: WorkerAnswer},
        problems=OF_AN_ACT,
    )


class WorkerQuiet(Telling):
    """The quiet of a worker."""

    act = "quiet"
    operations = {"post": telling("quiet_worker")}

    def post(self, request: Request, worker_id: UUID) -> Response:
        """Have a worker claim nothing more, while its bodies go on; it hears of it within a second."""
        return super().post(request, worker_id)


class WorkerResumption(Telling):
    """The end of a worker's quiet."""

    act = "resume"
    operations = {"post": telling("resume_worker")}

    def post(self, request: Request, worker_id: UUID) -> Response:
        """Have a quiet worker claim again."""
        return super().post(request, worker_id)


class WorkerStop(Telling):
    """The stop of a worker."""

    act = "stop"
    operations = {"post": telling("stop_worker")}

    def post(self, request: Request, worker_id: UUID) -> Response:
        """End a worker as at SIGTERM: its bodies get SHUTDOWN_GRACE. No supervisor replaces it."""
        return super().post(request, worker_id)


class OutboxRows(ApiView):
    """What waits to be claimed."""

    section = "outbox"
    operations = {
        "get": Operation(
            id="list_outbox",
            right=Right.OUTBOX,
            query=OutboxQuery,
            answers={200: OutboxAnswer},
            problems=(404,),
        )
    }

    def get(self, request: Request) -> Response:
        """List what waits, oldest runs first, with what became of announcing it, and how each runtime stands."""
        asked = self.parameters(request, OutboxQuery)
        return Response(
            worker_access.waiting(
                state=asked.state or None,
                queue=asked.queue or None,
                runtime=asked.runtime or None,
                after=asked.after or None,
                limit=asked.limit,
                caller=self.caller(request),
            )
        )


class OutboxFlushing(ApiView):
    """Announcing now."""

    section = "outbox"
    operations = {
        "post": Operation(
            id="flush_outbox",
            right=Right.FLUSH,
            body=Flushing,
            body_required=False,
            answers={200: Flushed},
            problems=(404, 413, 415),
        )
    }

    def post(self, request: Request) -> Response:
        """Announce due runs at once, and not at their next try; paused queues are left alone."""
        asked = self.body(request, Flushing)
        return Response(
            worker_access.flush(
                queue=asked.queue,
                runtime=asked.runtime,
                announced=asked.announced,
                caller=self.caller(request),
                reason=asked.reason,
            )
        )


class Activity(ApiView):
    """What operators did."""

    section = "service"
    operations = {
        "get": Operation(
            id="list_activity",
            right=Right.AUDIT,
            whole=True,
            query=ActivityQuery,
            answers={200: ActivityPage},
        )
    }

    def get(self, request: Request) -> Response:
        """List what operators did, newest first."""
        asked = self.parameters(request, ActivityQuery)
        return Response(
            activity.find(
                actor=asked.actor or None,
                act=asked.act or None,
                object=asked.object or None,
                since=asked.since or None,
                before=asked.before or None,
                before_id=asked.older or None,
                limit=asked.limit,
            )
        )


class RuntimesHealth(ApiView):
    """How runtimes stand."""

    section = "service"
    operations = {
        "get": Operation(id="list_runtimes", right=Right.FLEET, whole=True, answers={200: HealthReport})
    }

    def get(self, request: Request) -> Response:
        """Ask every runtime: does it answer, how fast, what can it do, what is wrong. A few seconds at most."""
        return Response(health.read())
