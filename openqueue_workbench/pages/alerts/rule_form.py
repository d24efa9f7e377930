"""The form of a rule: its kind is chosen first, and it has the fields that this kind heeds."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.alerts import kinds
from openqueue.alerts.kinds import KINDS, SEVERITIES, WINDOWS, Kind
from openqueue.control import queue_access
from openqueue.control.alerts import channels, definition, rules
from openqueue.control.alerts.rules import RuleFacts, RulePreview
from openqueue.control.callers import Right
from openqueue.errors import UnclearAlert
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Told, act
from openqueue_workbench.frame.forms import Input
from openqueue_workbench.pages.alerts import words
from openqueue_workbench.pages.alerts.acts import WHY, Fields, why
from openqueue_workbench.pages.alerts.form import FormPage
from openqueue_workbench.pages.alerts.rules import said

WHOLE: Final = ("least", "window", "hold", "cooldown")
PARTED: Final = ("queues", "tasks")


class RuleForm(FormPage):
    """The fields of a rule, and what they would say now."""

    section = "alert_rules"
    template = "alert_rule_form.html"
    foreseen: RulePreview | None = None

    @property
    @abstractmethod
    def kind(self) -> Kind | None:
        """Return the kind that was chosen."""

    @property
    @abstractmethod
    def standing(self) -> Mapping[str, Any]:
        """Return what stands in the fields at first."""

    @property
    def given(self) -> dict[str, Any]:
        """Return the fields that were sent, as the service layer takes them; what is no number stays as it is."""
        kind, sent = self.kind, self.request.POST
        if kind is None:
            return {}
        found: dict[str, Any] = {name: sent[name] for name in ("name", "severity") if name in sent}
        for name in ("threshold", "factor"):
            if name in sent:
                found[name] = _number(sent[name])
        for name in WHOLE:
            if name in sent:
                found[name] = _whole(sent[name])
        for name in PARTED:
            if name in sent:
                found[name] = [one for one in re.split(r"[\s,]+", sent[name]) if one]
        if kind.tells_end:
            found["tells_end"] = "tells_end" in sent
        return found

    @property
    def sent_channels(self) -> list[int]:
        """Return the channels that were ticked."""
        return [int(one) for one in self.request.POST.getlist("channels") if one.isascii() and one.isdigit()]

    @act(gettext_lazy("Preview"), right=Right.ALERT_RULES)
    def foresee(self, on: str, fields: Fields) -> Told:
        """Say what it would say now."""
        return self.checked(self._foresee)

    def _foresee(self) -> Told:
        kind = self.kind.name if self.kind else ""
        self.foreseen = rules.preview_of({**self.given, "kind": kind})
        self.is_answered = True
        return Told(text=_("This is a preview: nothing was saved."))

    def context(self) -> dict[str, Any]:
        """Return the form, and what it would say."""
        if self.kind is None:
            chosen = [
                (words.kind(name), words.condition(name, definition.rule({"name": "-", "kind": name})), name)
                for name in KINDS
            ]
            return super().context() | {
                "kinds": [(title, text, self.address_with(kind=name)) for title, text, name in chosen]
            }
        more: dict[str, Any] = {"kind": words.kind(self.kind.name), "back": self.back}
        if self.foreseen is not None:
            more |= said(self, self.foreseen, self.kind.name)
        return super().context() | more

    @property
    def back(self) -> str:
        """Return where to go without saving."""
        return self.to.of("alert_rules")

    @cached_property
    def inputs(self) -> Sequence[Input]:
        """Return the fields that the kind heeds."""
        kind = self.kind
        if kind is None:
            return []
        usual = self.standing
        fields = [
            Input(name="name", label=_("Name"), value=self.typed("name", usual["name"]), required=True),
            Input(
                name="severity",
                label=_("Severity"),
                kind="select",
                value=self.typed("severity", usual["severity"]),
                choices=[(name, words.SEVERITIES[name].word) for name in SEVERITIES],
            ),
        ]
        if kind.unit:
            fields.append(self._numeric("threshold", _("Threshold"), unit=words.unit(kind.name)))
        if "window" in kind.options:
            fields.append(
                Input(
                    name="window",
                    label=_("Window"),
                    kind="select",
                    value=self.typed("window", usual["window"]),
                    choices=[(str(seconds), wording.duration(seconds)) for seconds in WINDOWS],
                )
            )
        if "least" in kind.options:
            fields.append(
                self._numeric(
                    "least", _("Of at least"), unit=_("runs"), help=_("With fewer, nothing is said.")
                )
            )
        if "factor" in kind.options:
            fields.append(
                self._numeric(
                    "factor",
                    _("Times as often"),
                    help=_("As in the window before: by how much it must rise."),
                )
            )
        if "queues" in kind.options:
            text = _("Empty: all. Known: %(names)s.") % {"names": ", ".join(queue_access.names(self.caller))}
            fields.append(self._names("queues", _("Only these queues"), help=text))
        if "tasks" in kind.options:
            text = _("Ids of tasks, each in a line of its own. Empty: all.")
            fields.append(self._names("tasks", _("Only these tasks"), help=text))
        return [*fields, *self._telling(kind)]

    def _telling(self, kind: Kind) -> list[Input]:
        """Return the fields that say when somebody hears of it, and who."""
        usual = self.standing
        fields = [
            self._numeric(
                "hold",
                _("Hold"),
                unit=_("seconds"),
                help=_("So long it must be so before the alert opens. Until then it is pending."),
            ),
            self._numeric(
                "cooldown",
                _("Cooldown"),
                unit=_("seconds"),
                help=_("So long after an alert opened no other one of the same subject does."),
            ),
        ]
        if kind.tells_end:
            fields.append(
                Input(
                    name="tells_end",
                    label=_("Say as well when it is over"),
                    kind="tick",
                    chosen=self.ticked("tells_end", ["on"] if usual["tells_end"] else []),
                )
            )
        if self.caller.may(Right.ALERT_CHANNELS):
            found = channels.listing()
            none = _("There are no channels yet: the alert is only shown here.")
            fields.append(
                Input(
                    name="channels",
                    label=_("Send to"),
                    kind="checks",
                    chosen=self.ticked("channels", [str(one) for one in usual["channels"]]),
                    choices=[(str(one.id), f"{one.name}: {one.shown}") for one in found],
                    help="" if found else none,
                )
            )
        return [*fields, Input(name=WHY, label=_("Why (it is kept on record)"), value=self.typed(WHY, ""))]

    def _numeric(self, name: str, label: str, *, unit: str = "", help: str = "") -> Input:
        value = self.typed(name, written(self.standing[name]))
        return Input(name=name, label=label, kind="number", value=value, unit=unit, help=help, required=True)

    def _names(self, name: str, label: str, *, help: str) -> Input:
        value = self.typed(name, "\n".join(self.standing[name]))
        return Input(name=name, label=label, kind="textarea", value=value, help=help)


class NewRulePage(RuleForm):
    """A rule to be made."""

    right = Right.ALERT_RULE_ADD

    def title(self) -> str:
        """Return the heading."""
        return _("New rule: %(kind)s") % {"kind": words.kind(self.kind.name)} if self.kind else _("New rule")

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all rules."""
        return [*super().trail(), (self.to.of("alert_rules"), _("Rules"))]

    @property
    def kind(self) -> Kind | None:
        """Return the kind that the address names."""
        return KINDS.get(self.request.GET.get("kind", ""))

    @cached_property
    def standing(self) -> Mapping[str, Any]:
        """Return what a rule of this kind has by default."""
        kind = self.kind or next(iter(KINDS.values()))
        return definition.rule({"name": "-", "kind": kind.name}) | {"name": "", "channels": []}

    @act(gettext_lazy("Make the rule"), right=Right.ALERT_RULE_ADD)
    def create(self, on: str, fields: Fields) -> Told:
        """Make it."""
        return self.checked(lambda: self._create(why(fields)))

    def _create(self, reason: str) -> Told:
        kind = self.kind.name if self.kind else ""
        made = rules.create(
            {**self.given, "kind": kind},
            channels=self.sent_channels,
            actor=self.caller.actor,
            reason=reason,
        )
        text = _("Rule %(name)s is made; it is looked at within seconds.") % {"name": made.name}
        may = self.caller.may(Right.ALERT_RULES)
        return Told(text=text, go_to=self.to.of("alert_rule", made.id) if may else self.to.of("alert"))


class EditRulePage(RuleForm):
    """A rule to be changed."""

    right = Right.ALERT_RULE_CHANGE

    @cached_property
    def rule(self) -> RuleFacts:
        """Return it, read once."""
        return rules.show(self.number(self.kwargs["rule"]))

    def title(self) -> str:
        """Return the heading."""
        return _("Edit rule %(name)s") % {"name": self.rule.name}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to the rule."""
        return [*super().trail(), (self.to.of("alert_rules"), _("Rules")), (self.back, self.rule.name)]

    @property
    def back(self) -> str:
        """Return where to go without saving."""
        return self.to.of("alert_rule", self.rule.id)

    @property
    def kind(self) -> Kind:
        """Return its kind.

        Raises:
            UnclearAlert: it is of a kind that this version does not know.
        """
        if self.rule.kind not in kinds.KINDS:
            raise UnclearAlert(_("Rules of the kind %(kind)s are not known here.") % {"kind": self.rule.kind})
        return KINDS[self.rule.kind]

    @cached_property
    def standing(self) -> Mapping[str, Any]:
        """Return the rule as it is."""
        fields = {name: getattr(self.rule, name) for name in definition.RULE_FIELDS}
        return fields | {"channels": [to.id for to in self.rule.channels]}

    @act(gettext_lazy("Save"), right=Right.ALERT_RULE_CHANGE)
    def save(self, on: str, fields: Fields) -> Told:
        """Change it."""
        return self.checked(lambda: self._save(why(fields)))

    def _save(self, reason: str) -> Told:
        changed = rules.change(
            self.rule.id,
            self.given,
            channels=self.sent_channels if self.caller.may(Right.ALERT_CHANNELS) else None,
            actor=self.caller.actor,
            reason=reason,
        )
        return Told(text=_("Rule %(name)s is changed.") % {"name": changed.name}, go_to=self.back)


def written(number: float) -> str:
    """Return a number as a field of a form takes it, in every language."""
    return str(int(number)) if number == int(number) else repr(float(number))


def _number(given: str) -> Any:
    try:
        return float(given)
    except ValueError:
        return given


def _whole(given: str) -> Any:
    found = _number(given)
    return int(found) if isinstance(found, float) and found.is_integer() else given
