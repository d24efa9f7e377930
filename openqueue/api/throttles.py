"""How often one caller may ask: counted in windows of a minute, in Django's default cache."""

from __future__ import annotations

import time
from typing import Any, Final

from django.core.cache import caches
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from openqueue.conf import config
from openqueue.control.callers import Caller

WINDOW: Final = 60
"""Seconds."""
READ, WRITE, WORKER, REFUSED = "read", "write", "worker", "refused"


class CallerThrottle(BaseThrottle):
    """So many requests a minute for each token or user, reading and writing apart. Addresses play no part."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request; refuse it when it is one too many."""
        if not isinstance(request.auth, Caller):
            return True
        kind = view.counted_as or (READ if request.method in {"GET", "HEAD"} else WRITE)
        return count(kind, request.auth.owner)

    def wait(self) -> float:
        """Return the seconds until the next window."""
        return left()


def refused(request: Request) -> None:
    """Count a token that was refused, by the address that the connection comes from.

    A valid token is never counted here, so that nobody can lock out those who share an address or a proxy.

    Raises:
        Throttled: there were too many in this minute.
    """
    if not count(REFUSED, request.META.get("REMOTE_ADDR") or "nowhere"):
        raise Throttled(wait=left())


def count(kind: str, who: str) -> bool:
    """Count one more; tell whether it is still within the rate."""
    most = config.api_rates[kind]
    if most is None:
        return True
    key = f"{config.namespace}:openqueue:api:{kind}:{who.replace(' ', '-')}:{int(time.time()) // WINDOW}"
    cache = caches["default"]
    if cache.add(key, 1, timeout=2 * WINDOW):
        return most >= 1
    try:
        return int(cache.incr(key)) <= most
    except ValueError:  # it went between the two, or the cache keeps nothing
        return True


def left() -> float:
    return WINDOW - time.time() % WINDOW
