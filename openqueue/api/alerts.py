"""What fired, who was told, and that somebody is on it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Why, act
from openqueue.api.views import ApiView
from openqueue.control.alerts import history
from openqueue.control.alerts.history import STATES, Acknowledged, AlertPage, DeliveryPage, ShownAlert
from openqueue.control.callers import Right

Limit = Annotated[int, msgspec.Meta(ge=1, le=200)]
Before = Annotated[UUID, msgspec.Meta(description="`before` of a page.")]
Id = Annotated[int, msgspec.Meta(ge=0, le=10**18 - 1)]


class AlertQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which alerts to list."""

    state: Literal[STATES] | msgspec.UnsetType = msgspec.UNSET  # type: ignore[valid-type]  # the table's own
    severity: Literal["critical", "warning", "info"] | msgspec.UnsetType = msgspec.UNSET
    rule: Id | msgspec.UnsetType = msgspec.UNSET
    before: Before | msgspec.UnsetType = msgspec.UNSET
    limit: Limit = history.USUAL


class DeliveryQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which deliveries to list."""

    state: Literal["waiting", "sent", "failed", "dropped"] | msgspec.UnsetType = msgspec.UNSET
    channel: Id | msgspec.UnsetType = msgspec.UNSET
    before: Before | msgspec.UnsetType = msgspec.UNSET
    limit: Limit = history.USUAL


def told(asked: msgspec.Struct) -> dict[str, object]:
    """Return the fields of a request that were given."""
    return {
        name: value
        for name in asked.__struct_fields__
        if (value := getattr(asked, name)) is not msgspec.UNSET
    }


class Alerts(ApiView):
    """All alerts."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="list_alerts",
            right=Right.ALERTS,
            query=AlertQuery,
            answers={200: AlertPage},
            whole=True,
            tagged=True,
        )
    }

    def get(self, request: Request) -> Response:
        """List alerts, newest first; without a state: all that ever opened."""
        asked = self.parameters(request, AlertQuery)
        return Response(history.listing(**told(asked)))  # type: ignore[arg-type]  # the query's own types


class OneAlert(ApiView):
    """One alert."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="get_alert",
            right=Right.ALERTS,
            answers={200: ShownAlert},
            problems=(404,),
            whole=True,
            tagged=True,
        )
    }

    def get(self, request: Request, alert: UUID) -> Response:
        """Look at one alert, and what was sent of it."""
        return Response(history.show(alert))


class AlertAcknowledgement(ApiView):
    """That somebody is on it."""

    section = "alerts"
    operations = act("acknowledge_alert", Right.ALERT_ACKNOWLEDGE, Acknowledged, whole=True)

    def post(self, request: Request, alert: UUID) -> Response:
        """Say that somebody is on an alert; who, and why, is shown with it."""
        why = self.body(request, Why)
        actor = self.caller(request).actor
        return Response(history.acknowledge(alert, actor=actor, reason=why.reason))


class AlertDeliveries(ApiView):
    """All deliveries."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="list_alert_deliveries",
            right=Right.ALERTS,
            query=DeliveryQuery,
            answers={200: DeliveryPage},
            whole=True,
            tagged=True,
        )
    }

    def get(self, request: Request) -> Response:
        """List what was sent, or is to be, newest first; each with the log of its tries."""
        asked = self.parameters(request, DeliveryQuery)
        return Response(history.deliveries(**told(asked)))  # type: ignore[arg-type]  # the query's own types
