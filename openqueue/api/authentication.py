"""Who asks: the bearer of a token, or a member of the staff who is logged in."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from openqueue.api.throttles import refused
from openqueue.control import tokens
from openqueue.control.callers import Caller

SCHEME: Final = "Bearer"
LONGEST_ID: Final = 100
CHALLENGE: Final = 'Bearer realm="openqueue"'


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer oq_...``. A header that is not a valid token is refused, whatever cookies say."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        """Return the program that holds the token; None without the header."""
        header = get_authorization_header(request).decode("latin-1")
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        caller = tokens.recognise(token.strip()) if scheme.lower() == SCHEME.lower() else None
        if caller is None:
            refused(request)
            raise AuthenticationFailed("No such token. It may be wrong, expired or revoked.")
        return AnonymousUser(), caller.coming_from(origin(request))

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return CHALLENGE


class StaffSession(SessionAuthentication):
    """Django's session, for what runs in a browser; anything but a GET needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        """Return the user who is logged in; what the user may do is up to the permissions."""
        found = super().authenticate(request)
        return found and (found[0], Caller.person(found[0]).coming_from(origin(request)))


def origin(request: Request) -> str:
    """Return the address of the connection, and the id that the caller or a proxy gave the request."""
    given = request.headers.get("X-Request-ID", "")[:LONGEST_ID]
    return f"{request.META.get('REMOTE_ADDR', '')} {given}".strip()
