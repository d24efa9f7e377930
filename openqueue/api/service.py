"""The service itself: alive, who it is, how it stands, and the description of its API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api import document
from openqueue.api.operations import Operation
from openqueue.api.views import ApiView
from openqueue.conf import config
from openqueue.control import overview, queue_access, tasks
from openqueue.control.callers import Right
from openqueue.control.overview import Overview

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The process answers."""

    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """Who this is."""

    service: str
    api_version: int
    namespace: str
    tasks: int
    """That the caller sees."""
    queues: Sequence[str]
    """That settings and tasks name, and the caller sees."""


class Health(ApiView):
    """Life, for probes: the one route without authentication. It asks no database and tells nothing else."""

    section = "service"
    operations = {"get": Operation(id="health", right=None, is_open=True, answers={200: Alive})}

    def get(self, request: Request) -> Response:
        """Say that the process answers."""
        return Response(Alive(ok=True))

    def get_authenticators(self) -> list[Any]:
        """Ask nobody who they are: a probe may send whatever it likes."""
        return []


class ServiceInfo(ApiView):
    """Who this is."""

    section = "service"
    operations = {"get": Operation(id="info", right=None, answers={200: Info}, tagged=True)}

    def get(self, request: Request) -> Response:
        """Say who this is, and what the caller can name."""
        caller = self.caller(request)
        return Response(
            Info(
                service="openqueue",
                api_version=VERSION,
                namespace=config.namespace,
                tasks=len(tasks.listing(caller)),
                queues=queue_access.names(caller),
            )
        )


class ServiceOverview(ApiView):
    """How everything stands."""

    section = "service"
    operations = {"get": Operation(id="overview", right=Right.FLEET, whole=True, answers={200: Overview})}

    def get(self, request: Request) -> Response:
        """Look at the database, the runtimes, queues, workers and sweeps; what is wrong comes with its remedy."""
        return Response(overview.read())


class Schema(ApiView):
    """The OpenAPI document."""

    section = "service"
    operations = {"get": Operation(id="openapi", right=None, answers={200: dict[str, Any]}, tagged=True)}

    def get(self, request: Request) -> Response:
        """Describe this API (OpenAPI 3.1)."""
        prefix = reverse("openqueue-api:schema").removesuffix("/v1/openapi.json")
        return Response(document.made() | {"servers": [{"url": prefix or "/"}]})
