"""What can be done to alerts, rules and channels, wherever they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control.alerts import channels, history, rules
from openqueue.control.callers import Right
from openqueue.errors import UnclearAlert
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.pages.alerts.frame import AlertPage

Fields = Mapping[str, str]
WHY: Final = "reason"


def why(fields: Fields) -> str:
    """Return the reason that was typed."""
    return fields.get(WHY, "")


def asked_why() -> list[Field]:
    """Return the field that asks for it."""
    return [Field(name=WHY, label=_("Why"))]


class AlertActs(AlertPage):
    """What can be done to an alert."""

    @act(gettext_lazy("Acknowledge"), right=Right.ALERT_ACKNOWLEDGE)
    def acknowledge(self, on: str, fields: Fields) -> Told:
        """Say that somebody is on it."""
        done = history.acknowledge(uuid(on), actor=self.caller.actor, reason=why(fields))
        if done.outcome == history.ENDED:
            self.code = 409
            is_over = done.alert.state == history.OVER
            text = _("This alert is over already.") if is_over else _("This alert is not open yet.")
            return Told(text=text, level="warning")
        if done.outcome == history.ALREADY:
            text = _("%(who)s has acknowledged it already.") % {"who": done.alert.acknowledged_by}
            return Told(text=text, level="warning")
        return Told(text=_("You are on it: %(subject)s.") % {"subject": done.alert.subject})

    @acknowledge.before
    def ask_acknowledge(self, on: str, _fields: Fields) -> Question:
        """Say what it does, and what it does not."""
        alert = history.show(uuid(on)).alert
        return Question(
            title=_("Acknowledge this alert?"),
            text=_("Everybody sees that you are on it. It stays open until its condition holds no more."),
            facts=[(_("Rule"), alert.rule), (_("About"), alert.subject), (_("Now"), alert.text)],
            fields=[Field(name=WHY, label=_("What you do about it (everybody sees it)"))],
        )


class RuleActs(AlertPage):
    """What can be done to a rule."""

    section = "alert_rules"

    @act(gettext_lazy("Pause"), right=Right.ALERT_RULE_CHANGE)
    def pause_rule(self, on: str, fields: Fields) -> Told:
        """Look at it no more."""
        rule = rules.show(self.number(on))
        if rules.pause(rule.id, actor=self.caller.actor, reason=why(fields)) == channels.ALREADY:
            text = _("Rule %(name)s was paused already.") % {"name": rule.name}
            return Told(text=text, level="warning")
        return Told(text=_("Rule %(name)s is paused: nobody looks at it.") % {"name": rule.name})

    @pause_rule.before
    def ask_pause_rule(self, on: str, _fields: Fields) -> Question:
        """Say what becomes of what is open."""
        rule = rules.show(self.number(on))
        return Question(
            title=_("Pause rule %(name)s?") % {"name": rule.name},
            text=_("Nobody looks at it any more. What it has open is over at once, and nobody is told."),
            facts=[(_("Open alerts"), wording.number(rule.open_alerts))],
            fields=asked_why(),
        )

    @act(gettext_lazy("Resume"), right=Right.ALERT_RULE_CHANGE)
    def resume_rule(self, on: str, _fields: Fields) -> Told:
        """Look at it again."""
        rule = rules.show(self.number(on))
        if rules.resume(rule.id, actor=self.caller.actor) == channels.OPEN:
            return Told(text=_("Rule %(name)s was not paused.") % {"name": rule.name}, level="warning")
        return Told(text=_("Rule %(name)s is looked at again.") % {"name": rule.name})

    @act(gettext_lazy("Delete"), right=Right.ALERT_RULE_DELETE, is_grave=True)
    def delete_rule(self, on: str, fields: Fields) -> Told:
        """Delete it."""
        rule = rules.show(self.number(on))
        rules.delete(rule.id, actor=self.caller.actor, reason=why(fields))
        text = _("Rule %(name)s is deleted.") % {"name": rule.name}
        return Told(text=text, go_to=self.to.of("alert_rules"))

    @delete_rule.before
    def ask_delete_rule(self, on: str, _fields: Fields) -> Question:
        """Say what is lost, and what stays."""
        rule = rules.show(self.number(on))
        return Question(
            title=_("Delete rule %(name)s?") % {"name": rule.name},
            text=_(
                "What it has open is over at once, and nobody is told. Alerts that it ever had stay listed."
            ),
            facts=[(_("Open alerts"), wording.number(rule.open_alerts))],
            fields=asked_why(),
        )


class ChannelActs(AlertPage):
    """What can be done to a channel."""

    section = "alert_channels"
    secret: str | None = None
    """Of a webhook that was just made, or given another: it is in this answer alone, and kept nowhere to be read."""

    def go_on(self) -> HttpResponse:
        """Answer with a secret at once: it must not travel by a session or a cookie."""
        return self.shown() if self.secret else super().go_on()

    @act(gettext_lazy("Send a test"), right=Right.ALERT_CHANNEL_CHANGE)
    def try_channel(self, on: str, _fields: Fields) -> Told:
        """Have a test sent."""
        channel = channels.show(self.number(on))
        channels.try_out(channel.id, actor=self.caller.actor)
        text = _("A test is on its way to %(name)s: its messages tell what becomes of it.")
        return Told(text=text % {"name": channel.name})

    @act(gettext_lazy("Pause"), right=Right.ALERT_CHANNEL_CHANGE)
    def pause_channel(self, on: str, fields: Fields) -> Told:
        """Send nothing to it."""
        channel = channels.show(self.number(on))
        if channels.pause(channel.id, actor=self.caller.actor, reason=why(fields)) == channels.ALREADY:
            text = _("Channel %(name)s was paused already.") % {"name": channel.name}
            return Told(text=text, level="warning")
        return Told(text=_("Channel %(name)s is paused: nothing is sent to it.") % {"name": channel.name})

    @pause_channel.before
    def ask_pause_channel(self, on: str, _fields: Fields) -> Question:
        """Say what becomes of what waits."""
        channel = channels.show(self.number(on))
        return Question(
            title=_("Pause channel %(name)s?") % {"name": channel.name},
            text=_(
                "Nothing is sent to it any more. Messages that wait are dropped: they do not come afterwards."
            ),
            facts=[
                (_("Rules that send to it"), wording.number(channel.rules)),
                (_("Messages that wait"), wording.number(channel.waiting)),
            ],
            fields=asked_why(),
        )

    @act(gettext_lazy("Resume"), right=Right.ALERT_CHANNEL_CHANGE)
    def resume_channel(self, on: str, _fields: Fields) -> Told:
        """Send to it again."""
        channel = channels.show(self.number(on))
        if channels.resume(channel.id, actor=self.caller.actor) == channels.OPEN:
            return Told(text=_("Channel %(name)s was not paused.") % {"name": channel.name}, level="warning")
        return Told(text=_("Channel %(name)s is sent to again.") % {"name": channel.name})

    @act(gettext_lazy("New secret"), right=Right.ALERT_CHANNEL_CHANGE, is_grave=True)
    def rotate_channel(self, on: str, fields: Fields) -> Told:
        """Give it another signing secret."""
        made = channels.rotate(self.number(on), actor=self.caller.actor, reason=why(fields))
        self.secret = made.secret
        return Told(text=_("Channel %(name)s has another secret.") % {"name": made.channel.name})

    @rotate_channel.before
    def ask_rotate_channel(self, on: str, _fields: Fields) -> Question:
        """Say that the old one ends at once."""
        channel = channels.show(self.number(on))
        return Question(
            title=_("Give channel %(name)s another secret?") % {"name": channel.name},
            text=_(
                "Messages are signed with it at once. The receiver refuses them until it knows the new one."
            ),
            fields=asked_why(),
        )

    @act(gettext_lazy("Delete"), right=Right.ALERT_CHANNEL_DELETE, is_grave=True)
    def delete_channel(self, on: str, fields: Fields) -> Told:
        """Delete it."""
        channel = channels.show(self.number(on))
        channels.delete(channel.id, actor=self.caller.actor, reason=why(fields))
        text = _("Channel %(name)s is deleted.") % {"name": channel.name}
        return Told(text=text, go_to=self.to.of("alert_channels"))

    @delete_channel.before
    def ask_delete_channel(self, on: str, _fields: Fields) -> Question:
        """Say what goes silent."""
        channel = channels.show(self.number(on))
        return Question(
            title=_("Delete channel %(name)s?") % {"name": channel.name},
            text=_(
                "Rules that send to it send to their other channels only. Messages that wait are dropped."
            ),
            facts=[
                (_("Rules that send to it"), wording.number(channel.rules)),
                (_("Messages that wait"), wording.number(channel.waiting)),
            ],
            fields=asked_why(),
        )


def uuid(given: str) -> UUID:
    """Return the id of an alert.

    Raises:
        UnclearAlert: it is none.
    """
    try:
        return UUID(given)
    except ValueError:
        raise UnclearAlert(_("There is no alert %(id)s.") % {"id": given[:50]}) from None
