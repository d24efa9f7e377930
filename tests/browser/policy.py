"""The strictest policy under which the Workbench has to stand, on every answer."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

NAME = "tests.browser.policy.strict"
HEADER = "Content-Security-Policy"
POLICY = "; ".join(
    ["default-src 'none'"]
    + [f"{kind} 'self'" for kind in ("script-src", "style-src", "img-src", "connect-src", "form-action")]
)


def strict(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that adds it, unless the test at work says otherwise: middleware is made once, with the server."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if is_strict():
            response[HEADER] = POLICY
        return response

    return answer


def is_strict() -> bool:
    """Tell whether pages of the test at work stand under the policy."""
    return bool(getattr(settings, "STRICT_POLICY", True))
