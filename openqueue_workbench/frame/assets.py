"""htmx, out of django-htmx: by its static file where that is an installed app, otherwise by a view of ours."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from django.apps import apps
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.templatetags.static import static

from openqueue_workbench.frame.addresses import Addresses

FILE: Final = "django_htmx/htmx-4.min.js"
YEAR: Final = 365 * 24 * 3600


@cache
def script() -> bytes:
    """Return htmx."""
    return (files("django_htmx") / "static" / FILE).read_bytes()


@cache
def digest() -> str:
    """Return what names this version of it."""
    return sha256(script()).hexdigest()[:16]


def address(to: Addresses) -> str:
    """Return where the page's browser finds it."""
    if apps.is_installed("django_htmx"):
        return static(FILE)
    return to.of("overview_htmx", digest())


def serve(request: HttpRequest, version: str) -> HttpResponse:
    """Answer with htmx, to be kept: another version has another address."""
    if version != digest():
        return HttpResponseNotFound()
    headers = {"Cache-Control": f"private, max-age={YEAR}, immutable", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(script(), content_type="text/javascript; charset=utf-8", headers=headers)
