"""What every route has in common: closed by default, JSON only, and deaf to a project's own REST_FRAMEWORK settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeVar, cast

import msgspec
from django.db import DatabaseError, connections, transaction
from django.utils.http import parse_etags
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from openqueue.api import problems
from openqueue.api.authentication import BearerAuthentication, StaffSession
from openqueue.api.description import Description
from openqueue.api.operations import Operation, read_body, read_query
from openqueue.api.throttles import CallerThrottle
from openqueue.api.wire import JSONAnswer, JSONBody, JSONOnly, tag
from openqueue.control import audit
from openqueue.control.callers import ALL, Caller
from openqueue.errors import NotAllowed

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


class Allowed(BasePermission):
    """The caller is known and has the right of the operation."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True, or raise the refusal."""
        operation: Operation | None = view.operation(request)
        if any(one.is_open for one in view.operations.values()):
            return True
        if not isinstance(request.auth, Caller):
            raise NotAuthenticated("Send a token (Authorization: Bearer oq_...), or log in as staff.")
        if operation is None:  # 405 is next
            return True
        caller = request.auth
        if operation.right is not None and not caller.may(operation.right):
            raise NotAllowed(f"{caller.actor.name} has no right to {operation.right}.")
        if operation.whole and caller.queues is not ALL:
            raise NotAllowed(f"{caller.actor.name} sees some queues only, and this belongs to all.")
        return True


class ApiView(APIView):
    """A route. ``operations`` says what each method is; a method without an entry is refused."""

    operations: ClassVar[Mapping[str, Operation]] = {}
    authentication_classes = (BearerAuthentication, StaffSession)
    permission_classes = (Allowed,)
    throttle_classes = (CallerThrottle,)
    parser_classes = (JSONBody,)
    renderer_classes = (JSONAnswer,)
    content_negotiation_class = JSONOnly
    versioning_class = None
    metadata_class = None
    schema = Description()
    section: ClassVar[str] = ""
    """Of the schema."""
    counted_as: ClassVar[str] = ""
    """The rate of its own that limits it; otherwise reading and writing have one each."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view. Acts open their own transactions, and what they wrote stands when an answer is lost."""
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Know the methods that there are."""
        super().__init_subclass__(**kwargs)
        cls.http_method_names = [*cls.operations, *(["head"] if "get" in cls.operations else [])]

    def operation(self, request: Request) -> Operation | None:
        """Return what the method of this request is."""
        method = (request.method or "").lower()
        return self.operations.get("get" if method == "head" else method)

    def caller(self, request: Request) -> Caller:
        """Return who asks; the permission has seen to it that somebody does."""
        return cast(Caller, request.auth)

    def parameters(self, request: Request, kind: type[AnyStruct]) -> AnyStruct:
        """Return the query."""
        return read_query(kind, request.query_params)

    def body(self, request: Request, kind: type[AnyStruct]) -> AnyStruct:
        """Return the body."""
        return read_body(kind, request.data)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let nobody in who may not, and no parameter that the operation does not know."""
        super().initial(request, *args, **kwargs)
        operation = self.operation(request)
        if operation is not None:
            read_query(operation.query, request.query_params)

    def handle_exception(self, exc: Exception) -> Response:
        """Keep on record that somebody asked for an act without the right to it."""
        request = self.request
        if (
            isinstance(exc, NotAllowed)
            and isinstance(request.auth, Caller)
            and request.method not in SAFE_METHODS
        ):
            with suppress(DatabaseError):  # the refusal stands, recorded or not
                audit.refused(f"{request.method} {request.path}", actor=request.auth.actor, why=str(exc))
        return super().handle_exception(exc)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        """Answer errors as problems, whatever the project's own handler does."""
        return problems.answer

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep answers out of caches; answer 304 to who has this one."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        operation = self.operation(request) if isinstance(request, Request) else None
        if operation is not None and operation.tagged and response.status_code == 200:
            self.tag(request, response)
        return response

    def tag(self, request: Request, response: Response) -> None:
        response.content = response.rendered_content  # once: Django would render it again
        etag = tag(response.content)
        response.headers["ETag"] = etag
        response.headers["Cache-Control"] = "private, no-cache"
        known = parse_etags(request.headers.get("If-None-Match", ""))
        if "*" in known or etag in known:
            response.status_code, response.data, response.content = 304, None, b""
            del response.headers["Content-Type"]


class NoRoute(ApiView):
    """Every address under the include that is none."""

    schema = None  # type: ignore[assignment]  # not in the document, says Django REST framework so

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Say so, to those who are let in; to the others it is one address like any other."""
        super().initial(request, *args, **kwargs)
        raise problems.Refusal(404, "not_found", "There is nothing at this address.")
