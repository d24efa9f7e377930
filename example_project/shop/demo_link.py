"""A link that signs the demo's admin in: for the one browser that demo.py opens, for minutes, on this machine alone."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

SALT: Final = "shop.demo_link"
LIFETIME: Final = 300
"""Seconds."""


def make() -> str:
    """Return the link's path. It holds until the admin has signed in by it, or for LIFETIME."""
    return reverse("demo-link", args=[signing.dumps(_state(_admin()), salt=SALT)])


@require_GET
@never_cache
def enter(request: HttpRequest, token: str) -> HttpResponse:
    """Sign the admin in, once, and go on to the Workbench."""
    if not settings.DEBUG or not _is_here(request):
        raise Http404
    admin = _admin()
    try:
        told = signing.loads(token, salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        told = None
    if admin is not None and told == _state(admin):
        login(request, admin, backend="django.contrib.auth.backends.ModelBackend")  # which uses the link up
    return redirect("admin:openqueue_overview_changelist")  # a link that is used up leads to the login


def _admin() -> Any:
    return get_user_model().objects.filter(username="admin", is_active=True).first()


def _state(admin: Any) -> list[str]:
    """Return what changes when somebody signs in: the link that names it is good once."""
    return [str(admin.pk), str(admin.last_login)] if admin is not None else []


def _is_here(request: HttpRequest) -> bool:
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
