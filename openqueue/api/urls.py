"""The one include: ``path("openqueue/", include("openqueue.api.urls"))``."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from django.http import HttpRequest, JsonResponse
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt

app_name = "openqueue-api"
NEEDED = ("rest_framework", "drf_spectacular")
"""What the extra `api` brings."""


@csrf_exempt
def not_installed(request: HttpRequest) -> JsonResponse:
    """Say what is missing, to whoever asks; ``manage.py check`` says it too (openqueue.E101)."""
    code = "not_installed"
    return JsonResponse(
        {
            "type": f"urn:openqueue:problem:{code}",
            "title": "Not Implemented",
            "status": 501,
            "code": code,
            "detail": "The API is not installed on this server.",
        },
        status=501,
        content_type="application/problem+json",
    )


urlpatterns: list[URLPattern | URLResolver]
if all(find_spec(name) for name in NEEDED):
    urlpatterns = [
        path("v1/", include(import_module("openqueue.api.routes").routes)),
        re_path(r"", import_module("openqueue.api.views").NoRoute.as_view()),
    ]
else:
    urlpatterns = [re_path(r"", not_installed)]
