"""Acts on all runs that a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Reason, Why, act
from openqueue.api.run_acts import Priority
from openqueue.api.views import ApiView
from openqueue.control import bulk_acts
from openqueue.control.bulk import BulkFacts, Preview
from openqueue.control.callers import Right

BODY: Final = (413, 415)
Search = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """An act, and on which runs."""

    act: Literal["cancel", "retry", "promote", "prioritise", "discard"]
    search: Search
    """As in lists; any fault in it is refused."""
    priority: Priority | None = None
    """Of prioritise."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the act takes."""
        return {} if self.priority is None else {"priority": self.priority}


class Order(Wish, forbid_unknown_fields=True, kw_only=True):
    """An act, on which runs, and why."""

    reason: Reason = ""


class OperationQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How many to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkList:
    """Acts on many runs, newest first."""

    operations: Sequence[BulkFacts]


class Bulk(ApiView):
    """All of them."""

    section = "bulk"
    operations = {
        "get": Operation(
            id="list_bulk_operations", right=Right.READ, query=OperationQuery, answers={200: BulkList}, tagged=True
        ),
        "post": Operation(
            id="act_on_runs", right=Right.READ, body=Order, answers={201: BulkFacts}, problems=BODY
        ),
    }  # fmt: skip

    def get(self, request: Request) -> Response:
        """List acts on many runs; who sees some queues only, sees their own."""
        asked = self.parameters(request, OperationQuery)
        return Response(
            BulkList(operations=bulk_acts.listing(caller=self.caller(request), limit=asked.limit))
        )

    def post(self, request: Request) -> Response:
        """Act on all runs that a search finds now: up to a thousand before this answers, more in the background.

        Needs the right to the act itself as well.
        """
        order = self.body(request, Order)
        now = bulk_acts.ask(
            order.act,
            order.search,
            caller=self.caller(request),
            arguments=order.arguments,
            reason=order.reason,
        )
        where = reverse("openqueue-api:bulk-operation", args=[now.id])
        return Response(now, status=201, headers={"Location": where})


class BulkPreview(ApiView):
    """What an act on many runs would come to."""

    section = "bulk"
    operations = {
        "post": Operation(
            id="preview_act_on_runs", right=Right.READ, body=Wish, answers={200: Preview}, problems=BODY
        )
    }

    def post(self, request: Request) -> Response:
        """Count the runs that an act would come to; nothing is changed."""
        wish = self.body(request, Wish)
        seen = bulk_acts.preview(wish.act, wish.search, caller=self.caller(request), arguments=wish.arguments)
        return Response(seen)


class BulkOperation(ApiView):
    """One of them."""

    section = "bulk"
    operations = {
        "get": Operation(
            id="get_bulk_operation",
            right=Right.READ,
            answers={200: BulkFacts},
            problems=(404,),
            tagged=True,
        )
    }

    def get(self, request: Request, operation: UUID) -> Response:
        """Look at how far an act on many runs is."""
        return Response(bulk_acts.show(operation, caller=self.caller(request)))


class BulkStop(ApiView):
    """The end of one before it is through."""

    section = "bulk"
    operations = act("stop_bulk_operation", Right.READ, BulkFacts, problems=(404, 409))

    def post(self, request: Request, operation: UUID) -> Response:
        """End an act on many runs behind the batch that it is at; needs the right to the act."""
        why = self.body(request, Why)
        return Response(bulk_acts.stop(operation, caller=self.caller(request), reason=why.reason))


class BulkResumption(ApiView):
    """Going on with one that was interrupted."""

    section = "bulk"
    operations = act("resume_bulk_operation", Right.READ, BulkFacts, problems=(404, 409))

    def post(self, request: Request, operation: UUID) -> Response:
        """Go on with an act on many runs that was interrupted; needs the right to the act."""
        why = self.body(request, Why)
        return Response(bulk_acts.resume(operation, caller=self.caller(request), reason=why.reason))
