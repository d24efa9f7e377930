"""What templates of the Workbench use."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from openqueue.wording import in_language
from openqueue_workbench import wording
from openqueue_workbench.frame.page import FOLDER, Page

register = template.Library()
register.filter("in_language", in_language)


@register.simple_tag(takes_context=True)
def part(context: dict[str, Any], name: str) -> SafeString:
    """Show a part of the page."""
    page: Page = context["page"]
    return page.render_part(name) or mark_safe("")


@register.simple_tag(takes_context=True)
def control(
    context: Any, name: str, on: Any = "", *, why_not: str = "", of: str = "", **kept: Any
) -> SafeString:
    """Show a button for an act on something: nothing without the right to it; with ``why_not`` it cannot be pressed.

    of: what it is done to, for those who hear the page; kept: more fields of its form.
    """
    page: Page = context["page"]
    act = page.acts[name]
    if not page.caller.may(act.right):
        return mark_safe("")
    number = f"oq-why-{page.place}-{name}-{on}".replace(" ", "-")
    return mark_safe(  # noqa: S308  (made by a template, which escapes)
        render_to_string(
            f"{FOLDER}/control.html",
            {
                "act": act, "on": on, "why_not": why_not, "of": of, "id": number, "kept": kept,
                "address": page.address, "csrf": page.csrf,
            },
        )
    )  # fmt: skip


@register.simple_tag(takes_context=True)
def run_address(context: Any, run: Any) -> str:
    """Show where a run is."""
    page: Page = context["page"]
    return page.to.run(run)


@register.simple_tag(takes_context=True)
def queue_address(context: Any, name: str) -> str:
    """Show where a queue is; nothing for a name that no queue can have."""
    page: Page = context["page"]
    return page.to.known("queue_change", name)


@register.simple_tag(takes_context=True)
def nonce(context: Any) -> SafeString:
    """Show the attribute that lets a strict policy load this tag's file, where the project hands out nonces."""
    value = context.get("csp_nonce")
    return format_html(' nonce="{}"', value) if value else mark_safe("")


@register.simple_tag
def moment(at: datetime | None, *, ago: bool = False) -> SafeString:
    """Show a moment in the reader's zone, or how long ago it was; UTC and the whole date are behind it."""
    if at is None:
        return format_html("{}", wording.NOTHING)
    here, utc = timezone.localtime(at), at.astimezone(UTC)
    behind = f"{wording.day(at)} {here.year} {wording.clock(at, seconds=True)}, {utc:%Y-%m-%d %H:%M:%S} UTC"
    if ago:
        shown = wording.age(at, now=timezone.now())
    elif here.date() == timezone.localdate():
        shown = wording.clock(at, seconds=True)
    else:
        shown = f"{wording.short_day(at)} {wording.clock(at)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', utc.isoformat(), behind, shown)


@register.filter
def duration(seconds: float | str | None) -> str:
    """Show a length of time; a dash where there is none."""
    return wording.duration(seconds) if isinstance(seconds, int | float) else wording.NOTHING


@register.filter
def ago(seconds: float) -> str:
    """Show how long ago something was that this many seconds have passed since."""
    return _("%(span)s ago") % {"span": wording.span(seconds)}


@register.filter
def number(value: float | str | None) -> str:
    """Show a number as the reader's language writes it; a dash where there is none."""
    return wording.number(value) if isinstance(value, int | float) else wording.NOTHING


@register.filter
def badge(status: str) -> SafeString:
    """Show a status of a run or a flow: a glyph, a word and a colour."""
    shown = wording.mark(status)
    return format_html(
        '<span class="oq-badge {}"><span aria-hidden="true">{}</span> {}</span>',
        shown.css,
        shown.glyph,
        shown.word,
    )


@register.filter
def reason(code: str) -> str:
    """Show why a run stands where it stands."""
    return wording.reason(code)


@register.filter
def state_word(status: str) -> str:
    """Show a status as a word within a sentence."""
    return wording.mark(status).word.lower()


@register.filter
def level_name(level: int) -> str:
    """Show the level of a line of a log, as `logging` names it."""
    return logging.getLevelName(level)


@register.filter
def as_json(value: Any) -> str:
    """Show JSON to read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def task_name(task_id: str) -> str:
    """Show the last part of a task's id."""
    return task_id.rpartition(".")[2] or task_id


@register.filter
def short_id(run: Any) -> str:
    """Show how an id ends: its beginning is the time, which neighbours share."""
    return f"…{str(run)[-12:]}"


@register.simple_tag(takes_context=True)
def submits(context: Any, *names: str) -> SafeString:
    """Show the buttons of a form: those of these acts that the page has, and the reader the right to."""
    page: Page = context["page"]
    shown = [
        page.acts[name] for name in names if name in page.acts and page.caller.may(page.acts[name].right)
    ]
    return format_html_join(
        " ",
        '<button type="submit" name="act" value="{}" class="oq-button{}">{}</button>',
        ((act.name, "" if number else " oq-main", act.label) for number, act in enumerate(shown)),
    )
