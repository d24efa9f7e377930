"""A page: who may see it, its parts, and how its acts are answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views import View

from openqueue.control import audit
from openqueue.control.callers import Caller, Right
from openqueue_workbench import wording
from openqueue_workbench.frame import answers, navigation
from openqueue_workbench.frame.acts import Act, Told, acts_of
from openqueue_workbench.frame.addresses import Addresses
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.places import BY_NAME, PART, Place

WHOLE: Final = "_whole"
"""Asks for a page with its late parts, for browsers without the script."""
FOLDER: Final = "openqueue_workbench"


class Page(View):
    """One page. A subclass names its place, its template and its parts, and has ``part_<name>`` methods and acts."""

    place: ClassVar[str]
    right: ClassVar[Right | None] = None
    """Instead of the place's own."""
    template: ClassVar[str]
    """Under templates/openqueue_workbench/."""
    parts: ClassVar[Mapping[str, Part]] = {}
    http_method_names = ("get", "head", "post", "options")
    site: AdminSite = admin.site
    """The one whose addresses lead here."""
    told: Told | None = None
    code = 200

    def title(self) -> str:
        """Return the heading."""
        return str(self.where.title)

    def trail(self) -> list[tuple[str, str]]:
        """Return the addresses and names that lead to here, below the place itself."""
        return []

    def context(self) -> dict[str, Any]:
        """Return what the template needs beside the parts."""
        return {}

    # The rest is the frame's.

    @property
    def where(self) -> Place:
        """Return the page's place in the sidebar."""
        return BY_NAME[self.place]

    @cached_property
    def caller(self) -> Caller:
        """Return the reader."""
        given = self.request.headers.get("X-Request-ID", "")[:100]
        return Caller.person(self.request.user).coming_from(
            f"{self.request.META.get('REMOTE_ADDR', '')} {given}".strip()
        )

    @cached_property
    def to(self) -> Addresses:
        """Return the addresses of this admin site."""
        return Addresses(self.site)

    @cached_property
    def csrf(self) -> str:
        """Return what its forms carry; made once, since each making masks it anew."""
        return get_token(self.request)

    @cached_property
    def acts(self) -> dict[str, Act]:
        """Return what can be done here."""
        return acts_of(type(self))

    @cached_property
    def clock(self) -> datetime:
        """Return when this was read."""
        return timezone.now()

    @property
    def address(self) -> str:
        """Return this page's address with its query, without what asks for a part."""
        return self.address_with()

    def address_with(self, **changed: str | None) -> str:
        """Return this page's address with some of its query changed; None takes a name away."""
        query = {key: self.request.GET.getlist(key) for key in self.request.GET if key != PART}
        for key, value in changed.items():
            query.pop(key, None)
            if value is not None:
                query[key] = [value]
        return f"{self.request.path}?{urlencode(query, doseq=True)}" if query else self.request.path

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer a reader who has the right to be here."""
        if not self.caller.may(self.right or self.where.right):
            if request.method == "POST":
                self.refuse(self.right or self.where.right)
            raise PermissionDenied
        answer = answers.guarded(self, lambda: super(Page, self).dispatch(request, *args, **kwargs))
        answer["OpenQueue-Time"] = wording.clock(self.clock, seconds=True)
        return answer

    def get(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Show the page, or the one part of it that is asked for."""
        name = request.GET.get(PART)
        if name is None:
            return self.shown()
        if name not in self.parts:
            return HttpResponse(status=404)
        text = self.render_part(name, fresh=True)
        return HttpResponse(text or "", status=200 if text else 204)

    def post(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Do what was asked for, after a question where there is one."""
        act = self.acts.get(request.POST.get("act", ""))
        if act is None:
            return HttpResponse(status=400)
        if not self.caller.may(act.right):
            self.refuse(act.right)
            raise PermissionDenied
        fields = {key: value for key, value in request.POST.items() if isinstance(value, str)}
        return answers.acted(self, act, on=fields.get("on", ""), fields=fields)

    def refuse(self, right: Right) -> None:
        """Put on record that the reader tried what is not allowed."""
        what = f"POST {self.request.path} {self.request.POST.get('act', '')}".strip()
        audit.refused(what, actor=self.caller.actor, why=f"no right to {right}")

    def shown(self) -> HttpResponse:
        """Return the page: whole, or for the script what stands below the tabs."""
        is_bare = self.is_scripted
        if self.told and not is_bare:
            messages.add_message(
                self.request, getattr(messages, self.told.level.upper()), str(self.told.text)
            )
        more = {} if is_bare else self.site.each_context(self.request) | navigation.of(self)
        context = {
            **more,
            "layout": f"{FOLDER}/{'bare' if is_bare else 'frame'}.html",
            "page": self,
            "title": self.title(),
            "told": self.told,
            "trail": self.trail(),
            **self.context(),
        }
        self.request.current_app = self.site.name
        return TemplateResponse(self.request, f"{FOLDER}/{self.template}", context, status=self.code)

    def go_on(self) -> HttpResponse:
        """Return to the page as it is now, after an act."""
        told = self.told or Told(text="")
        if told.go_to:
            messages.add_message(self.request, getattr(messages, told.level.upper()), str(told.text))
            if self.is_scripted:
                return HttpResponse(headers={"HX-Redirect": told.go_to})
            return HttpResponseRedirect(told.go_to)
        if self.is_scripted or self.code != 200:
            return self.shown()
        messages.add_message(self.request, getattr(messages, told.level.upper()), str(told.text))
        return HttpResponseRedirect(self.address)

    @property
    def is_scripted(self) -> bool:
        """Tell whether the page's script asked, and not the browser itself."""
        return self.request.method == "POST" and self.request.headers.get("HX-Request") == "true"

    def render_part(self, name: str, *, fresh: bool = False) -> SafeString | None:
        """Return one part in its frame; None where nothing is new."""
        part = self.parts[name]
        is_late = part.late and not fresh and WHOLE not in self.request.GET
        shown = self.early(name) if is_late else self.render_inside(name, fresh=fresh)
        if shown is None:
            return None
        return mark_safe(  # noqa: S308  (made by templates, which escape)
            render_to_string(
                f"{FOLDER}/part.html",
                {
                    "name": name,
                    "every": self.pace(name),
                    "address": self.part_address(name),
                    "shown": shown,
                    "is_late": is_late,
                    "whole": self.address_with(**{WHOLE: "1"}),
                },
            )
        )

    def render_inside(self, name: str, *, fresh: bool) -> SafeString | None:
        """Return what a part shows; None where nothing is new. ``fresh``: asked for again."""
        found = getattr(self, f"part_{name}")()
        if found is None:
            return None
        return mark_safe(  # noqa: S308  (as above)
            render_to_string(
                f"{FOLDER}/{self.parts[name].template}", {"page": self, **found}, request=self.request
            )
        )

    def early(self, name: str) -> SafeString:
        """Return what stands in the place of a late part until it is there."""
        return mark_safe("")

    def pace(self, name: str) -> str:
        """Return how often a part is asked for again; a subclass stops what will not change any more."""
        return self.parts[name].every

    def part_address(self, name: str) -> str:
        """Return where a part is asked for."""
        return self.address_with(**{PART: name})

    def missing(self, text: str) -> HttpResponse:
        """Say that there is no such thing, with what may have become of it."""
        context = {
            **self.site.each_context(self.request), **navigation.of(self),
            "layout": f"{FOLDER}/frame.html", "page": self, "title": _("Not found"), "text": text,
            "back": self.to.of(self.place), "back_name": self.where.title,
        }  # fmt: skip
        self.request.current_app = self.site.name
        return TemplateResponse(self.request, f"{FOLDER}/missing.html", context, status=404)
