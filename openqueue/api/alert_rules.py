"""The rules that alerts are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.alerts import Id, told
from openqueue.api.operations import Operation, Reason, Why, act
from openqueue.api.views import ApiView
from openqueue.control.alerts import rules
from openqueue.control.alerts.rules import KindFacts, RuleFacts, RulePreview
from openqueue.control.callers import Right

Unset = msgspec.UnsetType
Text = Annotated[str, msgspec.Meta(max_length=200)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=604_800)]
Names = Annotated[list[Text], msgspec.Meta(max_length=100)]
Ids = Annotated[list[Id], msgspec.Meta(max_length=100)]


class RuleFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a rule has; what is not named is as it is, or as it is by default."""

    severity: Text | Unset = msgspec.UNSET
    """critical, warning or info."""
    threshold: float | Unset = msgspec.UNSET
    """In the unit of its kind."""
    least: int | Unset = msgspec.UNSET
    """Runs without which a failure rate says nothing."""
    factor: float | Unset = msgspec.UNSET
    """By how much an error must have risen."""
    window: int | Unset = msgspec.UNSET
    """Seconds that are counted over."""
    hold: Seconds | Unset = msgspec.UNSET
    """Seconds that the condition must hold before the alert opens."""
    cooldown: Seconds | Unset = msgspec.UNSET
    """Seconds after an alert opened before the next one of the same subject does."""
    queues: Names | Unset = msgspec.UNSET
    tasks: Names | Unset = msgspec.UNSET
    tells_end: bool | Unset = msgspec.UNSET


class RuleChange(RuleFields, forbid_unknown_fields=True, kw_only=True):
    """What to change about a rule."""

    name: Text | Unset = msgspec.UNSET
    channels: Ids | Unset = msgspec.UNSET
    reason: Reason = ""


class RuleDraft(RuleFields, forbid_unknown_fields=True, kw_only=True):
    """A rule that nobody has saved."""

    name: Text = "draft"
    kind: Text


class NewRule(RuleFields, forbid_unknown_fields=True, kw_only=True):
    """A rule to make."""

    name: Text
    kind: Text
    channels: Ids = []
    reason: Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleList:
    """Every rule by name, and the kinds that there are."""

    rules: Sequence[RuleFacts]
    kinds: Sequence[KindFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """What came of an act, and the rule as it is now."""

    outcome: str
    rule: RuleFacts


class AlertRules(ApiView):
    """All rules."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="list_alert_rules",
            right=Right.ALERT_RULES,
            answers={200: RuleList},
            whole=True,
            tagged=True,
        ),
        "post": Operation(
            id="create_alert_rule",
            right=Right.ALERT_RULE_ADD,
            body=NewRule,
            answers={201: RuleAnswer},
            problems=(413, 415),
            whole=True,
        ),
    }

    def get(self, request: Request) -> Response:
        """List every rule, and the kinds that a rule may be of."""
        return Response(RuleList(rules=rules.listing(), kinds=rules.every_kind()))

    def post(self, request: Request) -> Response:
        """Make a rule that sends to these channels."""
        new = self.body(request, NewRule)
        made = rules.create(
            fields(new), channels=new.channels, actor=self.caller(request).actor, reason=new.reason
        )
        return Response(RuleAnswer(outcome="created", rule=made), status=201)


class OneAlertRule(ApiView):
    """One rule."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="get_alert_rule",
            right=Right.ALERT_RULES,
            answers={200: RuleFacts},
            problems=(404,),
            whole=True,
            tagged=True,
        ),
        "patch": Operation(
            id="change_alert_rule",
            right=Right.ALERT_RULE_CHANGE,
            body=RuleChange,
            answers={200: RuleAnswer},
            problems=(404, 413, 415),
            whole=True,
        ),
        "delete": Operation(
            id="delete_alert_rule",
            right=Right.ALERT_RULE_DELETE,
            answers={204: None},
            problems=(404,),
            whole=True,
        ),
    }

    def get(self, request: Request, rule: int) -> Response:
        """Look at one rule."""
        return Response(rules.show(rule))

    def patch(self, request: Request, rule: int) -> Response:
        """Change a rule; what it has open stands as long as the new condition holds for it."""
        change = self.body(request, RuleChange)
        changed = rules.change(
            rule,
            fields(change),
            channels=None if isinstance(change.channels, Unset) else change.channels,
            actor=self.caller(request).actor,
            reason=change.reason,
        )
        return Response(RuleAnswer(outcome="changed", rule=changed))

    def delete(self, request: Request, rule: int) -> Response:
        """Delete a rule; what it has open is over, and nobody is told."""
        rules.delete(rule, actor=self.caller(request).actor)
        return Response(None, status=204)


class AlertRulePause(ApiView):
    """The pause of a rule."""

    section = "alerts"
    operations = act("pause_alert_rule", Right.ALERT_RULE_CHANGE, RuleAnswer, whole=True)

    def post(self, request: Request, rule: int) -> Response:
        """Look at a rule no more; what it has open is over, and nobody is told."""
        why = self.body(request, Why)
        outcome = rules.pause(rule, actor=self.caller(request).actor, reason=why.reason)
        return Response(RuleAnswer(outcome=outcome, rule=rules.show(rule)))


class AlertRuleResumption(ApiView):
    """The end of a pause."""

    section = "alerts"
    operations = act("resume_alert_rule", Right.ALERT_RULE_CHANGE, RuleAnswer, whole=True)

    def post(self, request: Request, rule: int) -> Response:
        """Look at a rule again."""
        why = self.body(request, Why)
        outcome = rules.resume(rule, actor=self.caller(request).actor, reason=why.reason)
        return Response(RuleAnswer(outcome=outcome, rule=rules.show(rule)))


class AlertRulePreview(ApiView):
    """What a rule would say now."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="preview_alert_rule",
            right=Right.ALERT_RULES,
            answers={200: RulePreview},
            problems=(404,),
            whole=True,
        )
    }

    def get(self, request: Request, rule: int) -> Response:
        """Say what a rule would say now. Nothing is sent."""
        return Response(rules.preview(rule))


class AlertDraftPreview(ApiView):
    """What a rule would say now that nobody has saved."""

    section = "alerts"
    operations = {
        "post": Operation(
            id="preview_alert_draft",
            right=Right.ALERT_RULES,
            body=RuleDraft,
            answers={200: RulePreview},
            problems=(413, 415),
            whole=True,
        )
    }

    def post(self, request: Request) -> Response:
        """Say what a rule would say now that is not saved. Nothing is written or sent."""
        return Response(rules.preview_of(fields(self.body(request, RuleDraft))))


def fields(given: RuleFields) -> dict[str, Any]:
    """Return the fields of a rule that were given."""
    return {name: value for name, value in told(given).items() if name not in {"channels", "reason"}}
