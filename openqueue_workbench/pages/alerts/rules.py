"""Rules: what each looks at, whom it tells, and what it says now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.control import activity
from openqueue.control.alerts import history, rules
from openqueue.control.alerts.rules import Foreseen, RuleFacts, RulePreview
from openqueue.control.callers import Right
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import pieces
from openqueue_workbench.pages.alerts import words
from openqueue_workbench.pages.alerts.acts import RuleActs
from openqueue_workbench.pages.alerts.alerts import row
from openqueue_workbench.pages.alerts.frame import AlertPage
from openqueue_workbench.wording import Mark

RECENT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One alert that a rule would have now."""

    alert: Foreseen
    value: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """One rule as a row."""

    rule: RuleFacts
    kind: str
    condition: str
    severity: Mark
    about: Sequence[str]
    """The only queues and tasks that it looks at."""
    address: str
    edit_address: str
    alerts_address: str
    channels: Sequence[tuple[str, str, bool]]
    """Name, address, whether it is paused."""


def rule_row(page: AlertPage, rule: RuleFacts) -> RuleRow:
    """Return a rule as a row."""
    may_channels = page.caller.may(Right.ALERT_CHANNELS)
    may_change = page.caller.may(Right.ALERT_RULE_CHANGE)
    may_alerts = page.caller.may(Right.ALERTS)
    return RuleRow(
        rule=rule,
        kind=words.kind(rule.kind),
        condition=words.condition(
            rule.kind,
            {
                "threshold": rule.threshold,
                "window": rule.window,
                "least": rule.least,
                "factor": rule.factor,
            },
        ),
        severity=words.SEVERITIES.get(rule.severity, words.UNKNOWN),
        about=[*rule.queues, *rule.tasks],
        address=page.to.of("alert_rule", rule.id),
        edit_address=page.to.of("alert_rule_edit", rule.id) if may_change else "",
        alerts_address=page.to.of("alert", rule=rule.id) if may_alerts else "",
        channels=[
            (to.name, page.to.of("alert_channel", to.id) if may_channels else "", to.is_paused)
            for to in rule.channels
        ],
    )


def said(page: AlertPage, found: RulePreview, kind: str) -> dict[str, Any]:
    """Return what a rule says now, as its template shows it."""
    return {
        "found": found,
        "sayings": [
            Saying(
                alert=one,
                value=words.value(kind, one.value),
                address=words.subject_address(page, one.subject),
            )
            for one in found.alerts
        ],
    }


class RulesPage(RuleActs):
    """All rules."""

    right = Right.ALERT_RULES
    template = "alert_rules.html"
    parts = {"rules": Part(template="parts/alert_rules.html", every="tick")}

    def title(self) -> str:
        """Return the heading."""
        return _("Rules of alerts")

    def context(self) -> dict[str, Any]:
        """Say where one is made."""
        may = self.caller.may(Right.ALERT_RULE_ADD)
        return super().context() | {"add_address": self.to.of("alert_rule_add") if may else ""}

    def part_rules(self) -> dict[str, Any]:
        """Read every rule, and show a piece of them."""
        piece = pieces.cut(self, rules.listing(), name=lambda rule: str(rule.id))
        return {"lines": [rule_row(self, rule) for rule in piece.rows], **piece.context()}


class RulePage(RuleActs):
    """One rule."""

    right = Right.ALERT_RULES
    template = "alert_rule.html"
    parts = {
        "rule": Part(template="parts/alert_rule.html", every="tick"),
        "preview": Part(template="parts/alert_preview.html", every="slow", late=True),
        "alerts": Part(template="parts/alerts_table.html", every="tick"),
        "history": Part(template="parts/queue_history.html", every="slow"),
    }

    @cached_property
    def rule(self) -> RuleFacts:
        """Return it, read once."""
        return rules.show(self.number(self.kwargs["rule"]))

    def title(self) -> str:
        """Return the heading."""
        return _("Rule %(name)s") % {"name": self.rule.name}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all rules."""
        return [*super().trail(), (self.to.of("alert_rules"), _("Rules"))]

    def part_rule(self) -> dict[str, Any]:
        """Read the rule."""
        return {"line": rule_row(self, self.rule)}

    def part_preview(self) -> dict[str, Any]:
        """Ask it what it would say now."""
        return said(self, rules.preview(self.rule.id), self.rule.kind)

    def part_alerts(self) -> dict[str, Any]:
        """Read what it found of late."""
        if not self.caller.may(Right.ALERTS):
            return {"hidden": True}
        found = history.listing(rule=self.rule.id, limit=RECENT)
        return {
            "lines": [row(self, one) for one in found.alerts],
            "address": self.to.of("alert", rule=self.rule.id),
            "is_more": found.before is not None,
        }

    def part_history(self) -> dict[str, Any]:
        """Read what operators did to it."""
        if not self.caller.may(Right.AUDIT):
            return {"hidden": True}
        what = f"alert rule {self.rule.id}"
        found = activity.find(object=what, limit=RECENT)
        return {"entries": found.entries, "address": self.to.of("activity", object=what)}
