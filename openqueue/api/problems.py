"""Errors as problem details (RFC 9457): one shape for everything that is refused, with a code to act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from openqueue import errors
from openqueue.control.run_facts import RunFacts

MEDIA_TYPE: Final = "application/problem+json"
AGAIN_IN: Final = 2
"""Seconds after which what stood in the way is likely gone."""


class FieldProblem(msgspec.Struct):
    """One thing wrong with one field."""

    path: str
    """Where in the request: payload.items[3].price."""
    reason: str


class Problem(msgspec.Struct, omit_defaults=True):
    """Why a request was not done (RFC 9457)."""

    type: str
    """urn:openqueue:problem: and the code."""
    title: str
    status: int
    code: str
    """One of the codes in the reference; it stays when the texts change."""
    detail: str
    errors: list[FieldProblem] = []
    """What is wrong with which field."""
    run: dict[str, Any] | None = None
    """The run as it is now, where its state stands in the way."""


class Refusal(Exception):
    """A request that is not done, and why."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        faults: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        run: Any = None,
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.problem = Problem(
            type=f"urn:openqueue:problem:{code}",
            title=HTTPStatus(status).phrase,
            status=status,
            code=code,
            detail=detail,
            errors=[FieldProblem(path=path, reason=reason) for path, reason in faults],
            run=None if run is None else msgspec.to_builtins(run),
        )


REFUSALS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (errors.UnclearRun, 404, "run_not_found"),
    (errors.UnclearQueue, 404, "queue_not_found"),
    (errors.UnclearSchedule, 404, "schedule_not_found"),
    (errors.UnclearFlow, 404, "flow_not_found"),
    (errors.UnclearErrorGroup, 404, "error_not_found"),
    (errors.UnclearOperation, 404, "operation_not_found"),
    (errors.UnclearDeadLetter, 404, "dead_letter_not_found"),
    (errors.UnclearAlert, 404, "alert_not_found"),
    (errors.UnknownTask, 404, "task_not_found"),
    (errors.NotAllowed, 403, "not_allowed"),
    (errors.LeaseForeign, 403, "lease_foreign"),
    (errors.WorkerGone, 409, "worker_gone"),
    (errors.DeclaredInCode, 409, "declared_in_code"),
    (errors.DefinitionInvalid, 400, "invalid_request"),
    (errors.PayloadTooLarge, 413, "payload_too_large"),
    (errors.PayloadInvalid, 400, "invalid_request"),
    (errors.ScheduleInvalid, 400, "invalid_request"),
    (errors.UnclearSearch, 400, "invalid_request"),
    (errors.AlertInvalid, 400, "invalid_request"),
    (errors.FlowInvalid, 400, "invalid_request"),
    (errors.UnsupportedCapability, 501, "unsupported_capability"),
    (errors.SecretsUnavailable, 501, "unsupported_capability"),
    (errors.QueueClosed, 409, "queue_closed"),
    (errors.KeyReused, 409, "idempotency_key_reused"),
    (errors.RunLocked, 409, "run_locked"),
)
"""What control raises, as it is answered; the first that fits."""
RAISED: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.NotAuthenticated, "not_authenticated"),
    (exceptions.AuthenticationFailed, "not_authenticated"),
    (exceptions.PermissionDenied, "not_allowed"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.NotAcceptable, "not_acceptable"),
    (exceptions.UnsupportedMediaType, "unsupported_media_type"),
    (exceptions.Throttled, "throttled"),
)
"""What Django REST framework raises."""


def answer(error: Exception, context: Any = None) -> Response | None:
    """Return the answer to what was raised; None for what nobody foresaw, which stays Django's."""
    refusal = refusal_of(error)
    if refusal is None:
        return None
    set_rollback()
    return Response(
        refusal.problem,
        status=refusal.problem.status,
        headers={"Cache-Control": "no-store"} | refusal.headers,
        content_type=MEDIA_TYPE,
    )


def refusal_of(error: Exception) -> Refusal | None:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, Http404):
        return Refusal(404, "not_found", "There is nothing at this address.")
    if isinstance(error, ObjectDoesNotExist):  # it went between two statements
        return Refusal(404, "not_found", "It is not there any more.")
    if isinstance(error, PermissionDenied):
        return Refusal(403, "not_allowed", "You may not do that.")
    if isinstance(error, OperationalError | InterfaceError):
        detail = "The database did not answer. Send the request again."
        return Refusal(503, "database_unavailable", detail, headers={"Retry-After": str(AGAIN_IN)})
    if isinstance(error, errors.WrongState):
        return Refusal(
            409, error.code, str(error), run=error.now if isinstance(error.now, RunFacts) else None
        )
    for kind, status, code in REFUSALS:
        if isinstance(error, kind):
            faults = getattr(error, "errors", ())
            return Refusal(status, code, "The request has faults." if faults else str(error), faults=faults)
    if isinstance(error, exceptions.APIException):
        return _raised(error)
    return None


def _raised(error: exceptions.APIException) -> Refusal:
    code = next((code for kind, code in RAISED if isinstance(error, kind)), "invalid_request")
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(max(1, round(wait)))
    return Refusal(error.status_code, code, str(error.detail), headers=headers)
