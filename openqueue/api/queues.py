"""Queues and workers: looked at; queues paused, resumed, cleared."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.insight import Period, Step, told
from openqueue.api.operations import Operation, Reason, Why, act
from openqueue.api.problems import Refusal
from openqueue.api.views import ApiView
from openqueue.control import insight, queue_access
from openqueue.control.callers import Right
from openqueue.control.depths import DepthSeries
from openqueue.control.queue_access import Cleared, QueueAnswer, QueueList, WorkerList
from openqueue.control.queue_doors import BEHAVIOURS

NOT_FOUND: Final = (404,)


class Clearing(msgspec.Struct, forbid_unknown_fields=True):
    """A queue to clear, named twice."""

    confirm: Annotated[str, msgspec.Meta(max_length=63, description="The queue's name once more.")]
    reason: Reason = ""


class Queues(ApiView):
    """All queues that the caller sees."""

    section = "queues"
    operations = {"get": Operation(id="list_queues", right=Right.QUEUES, answers={200: QueueList})}

    def get(self, request: Request) -> Response:
        """List queues: what waits in each, since when, and who works on it."""
        return Response(queue_access.listing(caller=self.caller(request)))


class OneQueue(ApiView):
    """One queue."""

    section = "queues"
    operations = {
        "get": Operation(id="get_queue", right=Right.QUEUES, answers={200: QueueList}, problems=NOT_FOUND)
    }

    def get(self, request: Request, queue: str) -> Response:
        """Look at one queue; while it moves to another runtime it has an entry for each."""
        return Response(queue_access.one(queue, caller=self.caller(request)))


class DepthQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of which time."""

    period: Period = 3_600
    step: Step = 60


class QueueDepth(ApiView):
    """How much stood in a queue over time."""

    section = "queues"
    operations = {
        "get": Operation(
            id="queue_depth",
            right=Right.QUEUES,
            query=DepthQuery,
            answers={200: DepthSeries},
            problems=NOT_FOUND,
        )
    }

    def get(self, request: Request, queue: str) -> Response:
        """Tell how much stood in a queue and how long its oldest run had waited, from a look in each minute to now."""
        asked, caller = self.parameters(request, DepthQuery), self.caller(request)
        period, step = timedelta(seconds=asked.period), timedelta(seconds=asked.step)
        return Response(told(lambda: insight.depth_over_time(period, step=step, queue=queue, caller=caller)))


class QueuePause(ApiView):
    """The pause of a queue."""

    section = "queues"
    operations = act("pause_queue", Right.PAUSE, QueueAnswer)

    def post(self, request: Request, queue: str) -> Response:
        """Start nothing of a queue until it is resumed."""
        why = self.body(request, Why)
        return Response(queue_access.pause(queue, caller=self.caller(request), reason=why.reason))


class QueueResumption(ApiView):
    """The end of a pause."""

    section = "queues"
    operations = act("resume_queue", Right.PAUSE, QueueAnswer)

    def post(self, request: Request, queue: str) -> Response:
        """Go on with a paused queue."""
        why = self.body(request, Why)
        return Response(queue_access.resume(queue, caller=self.caller(request), reason=why.reason))


class Disabling(Why, forbid_unknown_fields=True):
    """A queue to disable."""

    behaviour: Annotated[
        Literal[BEHAVIOURS],  # type: ignore[valid-type]  # the table's own
        msgspec.Meta(description="What becomes of runs that are triggered into it."),
    ] = "hold"


class Draining(Why, forbid_unknown_fields=True):
    """A queue to drain."""

    behaviour: Annotated[
        Literal["reject", "skip"],
        msgspec.Meta(description="What becomes of runs that are triggered into it."),
    ] = "reject"


class QueueDisabling(ApiView):
    """The disabling of a queue."""

    section = "queues"
    operations = {
        "post": Operation(
            id="disable_queue",
            right=Right.PAUSE,
            body=Disabling,
            body_required=False,
            answers={200: QueueAnswer},
            problems=(404, 413, 415),
        )
    }

    def post(self, request: Request, queue: str) -> Response:
        """Start nothing of a queue, and hold, reject or skip what is triggered into it, until it is enabled."""
        asked = self.body(request, Disabling)
        caller = self.caller(request)
        answer = queue_access.disable(queue, behaviour=asked.behaviour, caller=caller, reason=asked.reason)
        return Response(answer)


class QueueDraining(ApiView):
    """The draining of a queue."""

    section = "queues"
    operations = {
        "post": Operation(
            id="drain_queue",
            right=Right.PAUSE,
            body=Draining,
            body_required=False,
            answers={200: QueueAnswer},
            problems=(404, 413, 415),
        )
    }

    def post(self, request: Request, queue: str) -> Response:
        """Work off what is in a queue, and take in nothing new, until it is enabled."""
        asked = self.body(request, Draining)
        caller = self.caller(request)
        return Response(
            queue_access.drain(queue, behaviour=asked.behaviour, caller=caller, reason=asked.reason)
        )


class QueueEnabling(ApiView):
    """The end of a disabling or draining."""

    section = "queues"
    operations = act("enable_queue", Right.PAUSE, QueueAnswer)

    def post(self, request: Request, queue: str) -> Response:
        """Open a queue that is disabled or drained."""
        why = self.body(request, Why)
        return Response(queue_access.enable(queue, caller=self.caller(request), reason=why.reason))


class QueueClearing(ApiView):
    """The clearing of a queue."""

    section = "queues"
    operations = {
        "post": Operation(
            id="clear_queue",
            right=Right.CLEAR,
            body=Clearing,
            answers={200: Cleared},
            problems=(404, 413, 415),
        )
    }

    def post(self, request: Request, queue: str) -> Response:
        """Cancel what waits in a queue, ten thousand runs at a time; `left` says whether to ask again."""
        asked = self.body(request, Clearing)
        caller = self.caller(request)
        queue_access.checked(queue, caller=caller)
        if asked.confirm != queue:
            fault = ("confirm", f"must be the queue's name, {queue!r}: nothing was cancelled")
            raise Refusal(400, "invalid_request", "The body has faults.", faults=[fault])
        return Response(queue_access.clear(queue, caller=caller, reason=asked.reason))


class Workers(ApiView):
    """All workers."""

    section = "workers"
    operations = {
        "get": Operation(id="list_workers", right=Right.FLEET, whole=True, answers={200: WorkerList})
    }

    def get(self, request: Request) -> Response:
        """List the workers that have not signed off."""
        return Response(queue_access.workers())
