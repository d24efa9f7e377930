"""Acts on one run beside cancel and retry: promoted, prioritised, discarded, replayed."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Reason, Why, act
from openqueue.api.views import ApiView
from openqueue.control import run_acts
from openqueue.control.callers import Right
from openqueue.control.run_acts import RunAnswer
from openqueue.options import HIGHEST, LOWEST

Priority = Annotated[int, msgspec.Meta(ge=LOWEST, le=HIGHEST, description="Higher runs sooner.")]


class NewPriority(msgspec.Struct, forbid_unknown_fields=True):
    """Another priority, and why."""

    priority: Priority
    reason: Reason = ""


class NewArguments(msgspec.Struct, forbid_unknown_fields=True):
    """What a run is repeated with."""

    payload: dict[str, Any] | None
    """Arguments in place of the old ones; "[secret]" keeps a secret one. null: the old ones."""
    reason: Reason = ""


class RunPromotion(ApiView):
    """A delayed run's time, which is now."""

    section = "runs"
    operations = act("promote_run", Right.PROMOTE, RunAnswer, problems=(404, 409))

    def post(self, request: Request, run_id: UUID) -> Response:
        """Make a run due that is delayed, or between two attempts."""
        why = self.body(request, Why)
        return Response(run_acts.promote(run_id, caller=self.caller(request), reason=why.reason))


class RunPriority(ApiView):
    """A waiting run's priority."""

    section = "runs"
    operations = {
        "post": Operation(
            id="prioritise_run",
            right=Right.PROMOTE,
            body=NewPriority,
            answers={200: RunAnswer},
            problems=(404, 409, 413, 415, 501),
        )
    }

    def post(self, request: Request, run_id: UUID) -> Response:
        """Give a run another priority while it waits."""
        new = self.body(request, NewPriority)
        answer = run_acts.prioritise(
            run_id, priority=new.priority, caller=self.caller(request), reason=new.reason
        )
        return Response(answer)


class RunDiscard(ApiView):
    """The end of a run's history."""

    section = "runs"
    operations = act("discard_run", Right.DISCARD, RunAnswer, problems=(404, 409))

    def post(self, request: Request, run_id: UUID) -> Response:
        """Delete an ended run with its history; the answer says what it was."""
        why = self.body(request, Why)
        return Response(run_acts.discard(run_id, caller=self.caller(request), reason=why.reason))


class RunReplay(ApiView):
    """A run once more."""

    section = "runs"
    operations = {
        "post": Operation(
            id="replay_run",
            right=Right.TRIGGER,
            body=NewArguments,
            answers={201: RunAnswer},
            problems=(404, 409, 413, 415, 501),
        )
    }

    def post(self, request: Request, run_id: UUID) -> Response:
        """Repeat an ended run by a new one, perhaps with other arguments; needs the right `data` too."""
        new = self.body(request, NewArguments)
        answer = run_acts.replay(run_id, payload=new.payload, caller=self.caller(request), reason=new.reason)
        return Response(answer, status=201)
