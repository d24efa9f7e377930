"""How what goes wrong is answered, and what comes of an act: with a sentence and the status that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from openqueue import errors
from openqueue.wording import in_language
from openqueue_workbench.frame import navigation
from openqueue_workbench.frame.acts import Act, Question, Told

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

STATUSES: Final[Mapping[type[Exception], int]] = {
    errors.NotAllowed: 403,
    errors.UnsupportedCapability: 501,
    errors.RunLocked: 409,
}
"""Of what the control plane raises; 409 for what stands against an act otherwise, 404 for what is not there."""
MISSING: Final = (
    errors.UnclearAlert,
    errors.UnclearDeadLetter,
    errors.UnclearErrorGroup,
    errors.UnclearFlow,
    errors.UnclearOperation,
    errors.UnclearQueue,
    errors.UnclearRun,
    errors.UnclearSchedule,
    errors.UnclearWorker,
)


def guarded(page: Page, answer: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Return the answer; in place of a thing that is not there, a page that says so."""
    try:
        found = answer()
        if isinstance(found, TemplateResponse):  # its parts are read while it is rendered
            found.render()
    except errors.NotAllowed as error:
        raise PermissionDenied(in_language(error)) from error
    except MISSING as error:
        return page.missing(in_language(error))
    return found


def acted(page: Page, act: Act, *, on: str, fields: Mapping[str, str]) -> HttpResponse:
    """Ask first where there is a question, then act, and show the page as it is then."""
    try:
        if act.asks is not None:
            question = act.asks(page, on, fields)
            if "confirmed" not in fields:
                return asked(page, act, question, on=on)
            if question.typed and fields.get("typed", "").strip() != question.typed:
                return asked(page, act, question, on=on, error=_("Type %s to go on.") % question.typed)
            lacking = [
                field
                for field in question.fields
                if field.required and not fields.get(field.name, "").strip()
            ]
            if lacking:
                return asked(page, act, question, on=on, error=_("%s is needed.") % lacking[0].label)
        page.told = act.does(page, on, fields)
    except errors.NotAllowed as error:
        page.refuse(act.right)
        raise PermissionDenied(in_language(error)) from error
    except MISSING:
        raise
    except (errors.OpenQueueError, ValueError) as error:
        page.code = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 409)
        page.told = Told(text=in_language(error), level="error")
    return page.go_on()


def asked(page: Page, act: Act, question: Question, *, on: str, error: str = "") -> HttpResponse:
    """Return the question: a page of its own, or the inside of a dialog."""
    context = {
        "page": page,
        "act": act,
        "question": question,
        "on": on,
        "error": error,
        "title": question.title,
    }
    headers = {}
    if page.is_scripted:
        context["layout"] = "openqueue_workbench/inside.html"
        headers = {"HX-Retarget": "#oq-dialog", "HX-Reswap": "innerHTML"}
    else:
        context |= {**page.site.each_context(page.request), **navigation.of(page)}
        context |= {"layout": "openqueue_workbench/frame.html", "title": question.title}
    page.request.current_app = page.site.name
    status = 422 if error and not page.is_scripted else 200
    return TemplateResponse(
        page.request, "openqueue_workbench/question.html", context, headers=headers, status=status
    )
