"""Where the API is and with what token, from arguments or the environment; and httpx at its border."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

import openqueue
from openqueue.client.talk import Answer, Ask, Lost

URL, TOKEN = "OPENQUEUE_URL", "OPENQUEUE_TOKEN"  # the name of a variable
PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""What happens before the first byte of a request is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The address of the include, and the headers of every request; the token is nowhere else."""

    url: str
    headers: httpx.Headers
    """Shown with the token masked, as httpx does."""

    @classmethod
    def of(cls, url: str | None, token: str | None, *, allow_http: bool) -> Self:
        """Read the arguments, or what stands in the environment in their place.

        Raises:
            ValueError: there is no address or token, or it could not be used safely. The text never has the token.
        """
        url = url or os.environ.get(URL, "")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                f"Give the address of the include, https://example.com/openqueue/, or set {URL}."
            )
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                "The address must be without a name and password: they would be shown in errors."
            )
        if parts.scheme == "http" and not allow_http and not _is_here(parts.hostname):
            raise ValueError(
                f"http://{parts.hostname} would carry the token in clear. Use https://, or say allow_http=True "
                f"where the network between is your own."
            )
        token = token or os.environ.get(TOKEN, "")
        if not PRINTABLE.fullmatch(token):
            raise ValueError(f"Give a token of `manage.py openqueue_tokens create`, or set {TOKEN}.")
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "User-Agent": f"openqueue-client/{openqueue.__version__}",
        }
        base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/"
        return cls(url=base, headers=httpx.Headers(headers))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def arguments(wanted: Ask, *, usual: float) -> dict[str, Any]:
    """Return a request as httpx takes it."""
    return {
        "method": wanted.method,
        "url": wanted.path,
        "params": dict(wanted.query),
        "content": wanted.body,
        "headers": {"Content-Type": "application/json", **wanted.headers} if wanted.body else wanted.headers,
        "timeout": usual if wanted.within is None else min(usual, wanted.within),
    }


def answered(response: httpx.Response) -> Answer:
    """Return what came back."""
    return Answer(response.status_code, response.headers, response.content)


def lost(error: httpx.RequestError) -> Lost:
    """Return why nothing came back. Not the error itself: it holds the request, which holds the token."""
    return Lost(f"{type(error).__name__}: {error}", sent=not isinstance(error, NOT_SENT))
