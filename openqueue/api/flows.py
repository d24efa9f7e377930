"""Flows: listed, looked at as graphs, cancelled, retried."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Reason, Why, act
from openqueue.api.problems import Refusal
from openqueue.api.runs import HEEDED, MOST_RUNS, NewRun, Text, once, wish
from openqueue.api.views import ApiView
from openqueue.control import flow_access
from openqueue.control.callers import Right
from openqueue.control.flow_access import FlowAnswer, NodeWish
from openqueue.control.flows import STATUSES, FlowDetail, FlowPage

OF_AN_ACT: Final = (404, 409, 413, 415)
Policy = Literal["fail", "continue", "block"]


class FlowQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which flows to list."""

    status: Literal[STATUSES] | msgspec.UnsetType = msgspec.UNSET  # type: ignore[valid-type]  # the table's own
    name: Text | msgspec.UnsetType = msgspec.UNSET
    after: Annotated[UUID, msgspec.Meta(description="`next` of a page.")] | msgspec.UnsetType = msgspec.UNSET
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class NewNode(NewRun, forbid_unknown_fields=True, kw_only=True):
    """A call in a flow."""

    name: Text
    """Unique in the flow."""
    after: list[Text] = []
    """Names of the nodes that it waits for."""
    on_failure: Policy | None = None
    """What becomes of it when one of those does not complete; null: what the flow says."""


class NewFlow(msgspec.Struct, forbid_unknown_fields=True):
    """A flow to trigger, all of it or none."""

    name: Text
    nodes: Annotated[list[NewNode], msgspec.Meta(min_length=1, max_length=MOST_RUNS)]
    on_failure: Policy = "fail"
    reason: Reason = ""


class Flows(ApiView):
    """All flows that the caller sees."""

    section = "flows"
    operations = {
        "get": Operation(
            id="list_flows", right=Right.FLOWS, query=FlowQuery, answers={200: FlowPage}, tagged=True
        ),
        "post": Operation(
            id="trigger_flow",
            right=Right.TRIGGER,
            body=NewFlow,
            headers=HEEDED,
            answers={201: FlowAnswer},
            problems=(404, 409, 413, 415, 501),
        ),
    }

    def get(self, request: Request) -> Response:
        """List flows, newest first, a page at a time."""
        asked = self.parameters(request, FlowQuery)
        page = flow_access.listing(
            status=asked.status or None,
            name=asked.name or None,
            after=asked.after or None,
            limit=asked.limit,
            caller=self.caller(request),
        )
        return Response(page)

    def post(self, request: Request) -> Response:
        """Trigger a flow of up to a thousand calls that wait for each other."""
        new, caller = self.body(request, NewFlow), self.caller(request)
        nodes = [
            NodeWish(name=node.name, call=wish(node), after=node.after, on_failure=node.on_failure)
            for node in new.nodes
        ]

        def act() -> Any:
            answer = flow_access.trigger(
                new.name, nodes, on_failure=new.on_failure, caller=caller, reason=new.reason
            )
            return msgspec.to_builtins(answer)

        response = once(request, caller, act)
        response.headers["Location"] = reverse("openqueue-api:flow", args=[response.data["flow"]["id"]])
        return response


class OneFlow(ApiView):
    """One flow."""

    section = "flows"
    operations = {
        "get": Operation(
            id="get_flow", right=Right.FLOWS, answers={200: FlowDetail}, problems=(404,), tagged=True
        )
    }

    def get(self, request: Request, flow_id: UUID) -> Response:
        """Look at one flow: its first thousand nodes, what each waits for, and what keeps it waiting."""
        return Response(flow_access.one(flow_id, caller=self.caller(request)))


class FlowCancellation(ApiView):
    """The end of a flow by somebody's wish."""

    section = "flows"
    operations = act("cancel_flow", Right.FLOW_CANCEL, FlowAnswer, problems=(404, 409))

    def post(self, request: Request, flow_id: UUID) -> Response:
        """Cancel a flow: what waits at once, what runs by asking."""
        why = self.body(request, Why)
        answer = flow_access.cancel(flow_id, caller=self.caller(request), reason=why.reason)
        if answer.outcome == flow_access.FINISHED:
            raise Refusal(409, "already_finished", "The flow has ended already.")
        return Response(answer)


class FlowRetry(ApiView):
    """A new try of what did not complete."""

    section = "flows"
    operations = act("retry_flow", Right.FLOW_RETRY, FlowAnswer, problems=(404, 409, 501))

    def post(self, request: Request, flow_id: UUID) -> Response:
        """Begin the nodes anew that did not complete; what completed stays."""
        why = self.body(request, Why)
        answer = flow_access.retry(flow_id, caller=self.caller(request), reason=why.reason)
        if answer.outcome == flow_access.NOTHING:
            raise Refusal(409, "not_finished", "No node of the flow has ended without completing.")
        return Response(answer)
