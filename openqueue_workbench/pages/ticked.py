"""Lists whose rows can be ticked, and acts on all that are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise

from openqueue_workbench.frame.acts import Act
from openqueue_workbench.frame.page import Page

ALL: Final = "all"
"""In place of what is ticked: all that the search finds."""
PREFIX: Final = "some_"
"""Of the names of acts on what is ticked; what follows is the act's own."""
BOX: Final = "run"
"""The name of the boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One act on a selection."""

    name: str
    label: str | Promise
    is_grave: bool


class Ticked(Page):
    """A list with boxes to tick; its acts on them are called ``some_…``."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Take the ticked rows as what the act is done to."""
        if not request.POST.get("on") and request.POST.get("act", "").startswith(PREFIX):
            given = request.POST.copy()
            ticked = [one for one in given.getlist(BOX) if one]
            given["on"] = ALL if given.get("scope") == ALL else " ".join(ticked)
            request.POST = given  # type: ignore[assignment]  # Django's own setter takes it
        return super().post(request, *args, **kwargs)

    def selection(self) -> list[Button]:
        """Return the acts that the reader may do, where they can be done."""
        return [
            Button(name=one.name, label=one.label, is_grave=one.is_grave)
            for one in self.acts.values()
            if one.name.startswith(PREFIX) and self.caller.may(one.right) and self.can(one)
        ]

    def can(self, act: Act) -> bool:
        """Tell whether an act can be done to what is listed."""
        return True
