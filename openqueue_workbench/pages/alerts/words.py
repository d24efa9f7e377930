"""What alerts, rules and deliveries are called, and how their states are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from openqueue.alerts import kinds
from openqueue.control.callers import Right
from openqueue_workbench import wording
from openqueue_workbench.wording import Mark

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

KINDS: Final[Mapping[str, tuple[Promise, Promise]]] = {
    kinds.FAILURE_RATE: (
        gettext_lazy("Failure rate"),
        gettext_lazy(
            "%(threshold)s or more of a task's runs failed within %(window)s, of %(least)s at least"
        ),
    ),
    kinds.FAILURES: (
        gettext_lazy("Failures"),
        gettext_lazy("%(threshold)s or more of a task's runs failed within %(window)s"),
    ),
    kinds.ERROR_NEW: (
        gettext_lazy("New error"),
        gettext_lazy("an error came within %(window)s that was never seen before, or was resolved"),
    ),
    kinds.ERROR_RISING: (
        gettext_lazy("Rising error"),
        gettext_lazy(
            "an error came %(threshold)s times within %(window)s, %(factor)s times as often as before"
        ),
    ),
    kinds.BACKLOG_AGE: (
        gettext_lazy("Age of a backlog"),
        gettext_lazy("the oldest due run of a queue has waited for %(threshold)s"),
    ),
    kinds.BACKLOG_SIZE: (
        gettext_lazy("Size of a backlog"),
        gettext_lazy("%(threshold)s runs of a queue are due"),
    ),
    kinds.NO_WORKER: (
        gettext_lazy("No worker"),
        gettext_lazy("no live worker serves a queue whose oldest due run has waited for %(threshold)s"),
    ),
    kinds.OUTBOX_LAG: (
        gettext_lazy("Outbox lag"),
        gettext_lazy("a broker was not told of a run that has been due for %(threshold)s"),
    ),
    kinds.SCHEDULE_LATE: (
        gettext_lazy("Late schedule"),
        gettext_lazy("a schedule has been due for %(threshold)s, and no run was made"),
    ),
    kinds.RUNTIME_DOWN: (gettext_lazy("Runtime down"), gettext_lazy("a runtime does not answer")),
}
"""A title, and the condition in words."""
SEVERITIES: Final[Mapping[str, Mark]] = {
    name: Mark(glyph=glyph, word=word, css=f"oq-c-{hue}")  # type: ignore[arg-type]  # translated when it is shown
    for name, glyph, word, hue in (
        ("critical", "▲", pgettext_lazy("severity", "Critical"), "failed"),
        ("warning", "△", pgettext_lazy("severity", "Warning"), "retrying"),
        ("info", "○", pgettext_lazy("severity", "Info"), "running"),
    )
}
STATES: Final[Mapping[str, Mark]] = {
    name: Mark(glyph=glyph, word=word, css=f"oq-c-{hue}")  # type: ignore[arg-type]  # as above
    for name, glyph, word, hue in (
        ("open", "●", pgettext_lazy("alert", "Open"), "failed"),
        ("pending", "◌", pgettext_lazy("alert", "Pending"), "queued"),
        ("over", "✓", pgettext_lazy("alert", "Over"), "completed"),
        # Of messages.
        ("waiting", "◷", pgettext_lazy("message", "Waiting"), "queued"),
        ("sent", "✓", pgettext_lazy("message", "Sent"), "completed"),
        ("failed", "✕", pgettext_lazy("message", "Given up"), "failed"),
        ("dropped", "⊘", pgettext_lazy("message", "Dropped"), "cancelled"),
    )
}
EVENTS: Final[Mapping[str, Promise]] = {
    "opened": gettext_lazy("an alert opened"),
    "ended": gettext_lazy("an alert is over"),
    "test": gettext_lazy("a test"),
}
CHANNELS: Final[Mapping[str, tuple[Promise, Promise]]] = {
    "email": (
        gettext_lazy("E-mail"),
        gettext_lazy(
            "To people, by the project's own way to send mail. They do not see each other's address."
        ),
    ),
    "webhook": (
        gettext_lazy("Webhook"),
        gettext_lazy("A POST of JSON to a program, signed as Standard Webhooks says."),
    ),
    "slack": (
        gettext_lazy("Slack"),
        gettext_lazy("A message in a chat: Slack, and those that take Slack's messages, such as Mattermost."),
    ),
}
UNKNOWN: Final = Mark(glyph="?", word="?", css="oq-c-queued")
PLACES: Final[Mapping[str, tuple[Right, str]]] = {
    "error": (Right.ERRORS, "error_change"),
    "schedule": (Right.SCHEDULES, "schedule_change"),
}
"""Of subjects that are named by their ids."""


def kind(name: str) -> str:
    """Return what a kind of rules is called."""
    return str(KINDS[name][0]) if name in KINDS else name


def condition(name: str, fields: Mapping[str, Any]) -> str:
    """Return a rule's condition in words; ``fields`` has its threshold, window, least and factor."""
    if name not in KINDS:
        return name
    return str(KINDS[name][1]) % {
        "threshold": value(name, fields["threshold"]),
        "window": wording.duration(fields["window"]),
        "least": wording.number(fields["least"]),
        "factor": _plain(fields["factor"]),
    }


def value(name: str, number: float) -> str:
    """Return what was measured, in the unit of its kind."""
    unit = kinds.KINDS[name].unit if name in kinds.KINDS else ""
    if unit == "%":
        return _("%(number)s %%") % {"number": _plain(number)}
    if unit == "seconds":
        return wording.tick(number)
    return _plain(number)


def _plain(number: float) -> str:
    return wording.number(number, decimals=0 if number == int(number) else 1)


def unit(name: str) -> str:
    """Return the unit of a kind's threshold."""
    return {"%": "%", "runs": _("runs"), "seconds": _("seconds"), "": ""}[kinds.KINDS[name].unit]


def only(names: Sequence[str]) -> str:
    """Return the only ones that are looked at."""
    return ", ".join(names) if names else _("all")


def subject_address(page: Page, subject: str) -> str:
    """Return where the subject of an alert is shown, to those who may see it; empty: nowhere."""
    kind, _space, name = subject.partition(" ")
    if kind == "queue" and page.caller.may(Right.QUEUES):
        return page.to.queue(name)
    if kind == "task" and page.caller.may(Right.READ):
        return page.to.runs(q=f"task:{name}", period="24h")
    if kind == "runtime" and page.caller.may(Right.FLEET):
        return page.to.of("health")
    right, where = PLACES.get(kind, (None, ""))
    return page.to.of(where, name) if right is not None and page.caller.may(right) else ""
