"""The Workbench in an admin site: `openqueue_workbench.sites.register(site)`; the default site has it of itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from openqueue.control.callers import Caller
from openqueue_workbench.places import APP, PART, PLACES, Place

View = Callable[..., HttpResponseBase]


class PlaceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # models without tables
    """One place in the admin: its addresses, and who sees it in the sidebar; no view of ModelAdmin itself is served."""

    place: ClassVar[Place]

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses."""
        # Every command of a project imports its admin, and a worker serves no page.
        from openqueue_workbench import pages  # noqa: PLC0415
        from openqueue_workbench.frame import assets  # noqa: PLC0415

        found = [
            path(
                route,
                guarded(self.admin_site, page.as_view(site=self.admin_site)),
                name=f"{APP}_{self.place.name}_{name}",
            )
            for route, name, page in pages.ROUTES[self.place.name]
        ]
        if self.place.name == "overview":
            served = self.admin_site.admin_view(require_safe(assets.serve), cacheable=True)
            found.append(path("htmx-<str:version>.js", served, name=f"{APP}_overview_htmx"))
        return found

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Tell whether the reader sees the place."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the reader sees the place."""
        return Caller.person(request.user).may(self.place.right)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


def register(site: AdminSite) -> None:
    """Put the Workbench into an admin site."""
    for place in PLACES:
        members = {"place": place, "__module__": __name__}
        site.register(place.model, type(f"{place.name.capitalize()}Admin", (PlaceAdmin,), members))


def guarded(site: AdminSite, view: View) -> View:
    """Return the view behind the site's login; a part of a page is never answered with the login's form."""
    inside: View = site.admin_view(view)

    @wraps(inside)
    def outside(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        is_part = PART in request.GET or request.headers.get("HX-Request") == "true"
        if is_part and not site.has_permission(request):
            return HttpResponse(status=401, headers={"Cache-Control": "no-store"})
        return inside(request, *args, **kwargs)

    return outside
