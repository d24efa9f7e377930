"""Alerts: what is open, what is about to be, what is over, and one of them with its messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.alerts.kinds import SEVERITIES
from openqueue.control.alerts import history
from openqueue.control.alerts.history import AlertFacts, DeliveryFacts, ShownAlert
from openqueue.control.callers import Right
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages.alerts import words
from openqueue_workbench.pages.alerts.acts import AlertActs
from openqueue_workbench.pages.alerts.frame import AlertPage
from openqueue_workbench.wording import Mark

PAST: Final = 25
SENDING: Final = ("waiting", "sent", "failed", "dropped")
"""States of messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert as a row."""

    alert: AlertFacts
    state: Mark
    severity: Mark
    kind: str
    value: str
    address: str
    rule_address: str
    subject_address: str
    lasted: float | None
    """Seconds from its opening to its end, or until now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One message as a row."""

    told: DeliveryFacts
    state: Mark
    event: str
    error: str
    """Of the last try."""
    address: str
    channel_address: str


def row(page: AlertPage, alert: AlertFacts) -> AlertRow:
    """Return an alert as a row."""
    may_rules = alert.rule_id is not None and page.caller.may(Right.ALERT_RULES)
    began = alert.opened_at or alert.began_at
    return AlertRow(
        alert=alert,
        state=words.STATES.get(alert.state, words.UNKNOWN),
        severity=words.SEVERITIES.get(alert.severity, words.UNKNOWN),
        kind=words.kind(alert.kind),
        value=words.value(alert.kind, alert.value),
        address=page.to.of("alert_change", alert.id),
        rule_address=page.to.of("alert_rule", alert.rule_id) if may_rules else "",
        subject_address=words.subject_address(page, alert.subject),
        lasted=((alert.ended_at or page.clock) - began).total_seconds(),
    )


def messages(page: AlertPage, found: Sequence[DeliveryFacts]) -> list[DeliveryRow]:
    """Return messages as rows."""
    may_channels = page.caller.may(Right.ALERT_CHANNELS)
    return [
        DeliveryRow(
            told=one,
            state=words.STATES.get(one.state, words.UNKNOWN),
            event=str(words.EVENTS.get(one.event, one.event)),
            error=one.log[-1]["error"] if one.log else "",
            address=page.to.of("alert_change", one.alert_id) if one.alert_id else "",
            channel_address=page.to.of("alert_channel", one.channel_id)
            if one.channel_id and may_channels
            else "",
        )
        for one in found
    ]


class AlertsPage(AlertActs):
    """All alerts."""

    template = "alerts.html"
    parts = {
        "open": Part(template="parts/alerts_open.html", every="tick"),
        "past": Part(template="parts/alerts_past.html", every="slow"),
    }

    def trail(self) -> list[tuple[str, str]]:
        """Lead nowhere above."""
        return []

    @cached_property
    def narrowed(self) -> dict[str, Any]:
        """Return what the address asks for; what it cannot ask for is left out."""
        given = self.request.GET
        severity, rule = given.get("severity", ""), given.get("rule", "")
        found: dict[str, Any] = {"severity": severity} if severity in SEVERITIES else {}
        return found | ({"rule": int(rule)} if rule.isascii() and rule.isdigit() and len(rule) < 19 else {})

    @property
    def before(self) -> UUID | None:
        """Return where the page of past alerts begins."""
        try:
            return UUID(self.request.GET.get("before", ""))
        except ValueError:
            return None

    def context(self) -> dict[str, Any]:
        """Return the choices of severities."""
        chosen = self.narrowed.get("severity")
        choices = [(None, _("All")), *((name, str(words.SEVERITIES[name].word)) for name in SEVERITIES)]
        return super().context() | {
            "choices": [
                {
                    "title": title,
                    "address": self.address_with(severity=name, before=None),
                    "is_here": name == chosen,
                }
                for name, title in choices
            ],
            "whole": self.address_with(rule=None, before=None) if "rule" in self.narrowed else "",
        }

    def part_open(self) -> dict[str, Any]:
        """Read what is open, the gravest first, and what is about to be."""
        found = history.listing(state=history.OPEN, **self.narrowed)
        pending = history.listing(state=history.PENDING, **self.narrowed)
        grave = sorted(found.alerts, key=lambda one: SEVERITIES.index(one.severity))
        return {
            "lines": [row(self, one) for one in grave],
            "is_more": found.before is not None,
            "pending": [row(self, one) for one in pending.alerts],
            "at": self.clock,
            "is_narrowed": bool(self.narrowed),
            "rules_address": self.to.of("alert_rules") if self.caller.may(Right.ALERT_RULES) else "",
        }

    def part_past(self) -> dict[str, Any]:
        """Read what is over, newest first."""
        found = history.listing(state=history.OVER, before=self.before, limit=PAST, **self.narrowed)
        return {
            "lines": [row(self, one) for one in found.alerts],
            "older": self.address_with(before=str(found.before)) if found.before else "",
            "newest": self.address_with(before=None) if self.before else "",
        }


class OneAlertPage(AlertActs):
    """One alert."""

    template = "alert.html"
    parts = {
        "alert": Part(template="parts/alert.html", every="tick"),
        "messages": Part(template="parts/alert_messages.html", every="tick"),
    }

    @cached_property
    def found(self) -> ShownAlert:
        """Return it, read once."""
        return history.show(self.kwargs["alert"])

    def title(self) -> str:
        """Return the heading."""
        return f"{self.found.alert.rule}: {self.found.alert.subject}"

    def pace(self, name: str) -> str:
        """Ask no more where nothing can change any more."""
        is_over = self.found.alert.state == history.OVER
        is_settled = is_over and not any(one.due_at for one in self.found.deliveries)
        return "" if is_settled else super().pace(name)

    def part_alert(self) -> dict[str, Any]:
        """Read the alert."""
        shown = row(self, self.found.alert)
        over = _("It is over.") if shown.alert.state == history.OVER else ""
        pending = _("It is not open yet.") if shown.alert.state == history.PENDING else ""
        by = shown.alert.acknowledged_by
        known = _("%(who)s is on it.") % {"who": by} if by else ""
        return {"line": shown, "why_not": over or pending or known}

    def part_messages(self) -> dict[str, Any]:
        """Read who was told."""
        return {"lines": messages(self, self.found.deliveries), "is_short": True}


class MessagesPage(AlertPage):
    """The log of what was sent."""

    section = "alert_deliveries"
    template = "alert_messages.html"
    parts = {"messages": Part(template="parts/alert_messages.html", every="tick")}

    def title(self) -> str:
        """Return the heading."""
        return _("Messages of alerts")

    @property
    def state(self) -> str | None:
        """Return the state that the address asks for."""
        given = self.request.GET.get("state", "")
        return given if given in SENDING else None

    @property
    def channel(self) -> int | None:
        """Return the channel that the address asks for."""
        given = self.request.GET.get("channel", "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None

    def context(self) -> dict[str, Any]:
        """Return the choices of states."""
        choices = [(None, _("All")), *((name, str(words.STATES[name].word)) for name in SENDING)]
        return super().context() | {
            "choices": [
                {
                    "title": title,
                    "address": self.address_with(state=name, before=None),
                    "is_here": name == self.state,
                }
                for name, title in choices
            ],
            "whole": self.address_with(channel=None, before=None) if self.channel is not None else "",
        }

    def part_messages(self) -> dict[str, Any]:
        """Read them, newest first."""
        try:
            before = UUID(self.request.GET.get("before", ""))
        except ValueError:
            before = None
        found = history.deliveries(state=self.state, channel=self.channel, before=before)
        return {
            "lines": messages(self, found.deliveries),
            "older": self.address_with(before=str(found.before)) if found.before else "",
            "newest": self.address_with(before=None) if before else "",
        }
