"""Channels: where alerts go, and how that goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.control import activity
from openqueue.control.alerts import channels, history, rules
from openqueue.control.alerts.channels import ChannelFacts
from openqueue.control.callers import Right
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages.alerts import words
from openqueue_workbench.pages.alerts.acts import ChannelActs
from openqueue_workbench.pages.alerts.alerts import messages
from openqueue_workbench.pages.alerts.frame import AlertPage

RECENT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """One channel as a row."""

    channel: ChannelFacts
    kind: str
    is_signed: bool
    why_no_test: str
    address: str
    edit_address: str
    messages_address: str


def channel_row(page: AlertPage, channel: ChannelFacts) -> ChannelRow:
    """Return a channel as a row."""
    may_change = page.caller.may(Right.ALERT_CHANNEL_CHANGE)
    may_alerts = page.caller.may(Right.ALERTS)
    return ChannelRow(
        channel=channel,
        kind=str(words.CHANNELS[channel.kind][0]) if channel.kind in words.CHANNELS else channel.kind,
        is_signed=channel.kind == "webhook",
        why_no_test=_("It is paused.") if channel.paused_at else "",
        address=page.to.of("alert_channel", channel.id),
        edit_address=page.to.of("alert_channel_edit", channel.id) if may_change else "",
        messages_address=page.to.of("alert_deliveries", channel=channel.id) if may_alerts else "",
    )


class ChannelsPage(ChannelActs):
    """All channels."""

    right = Right.ALERT_CHANNELS
    template = "alert_channels.html"
    parts = {"channels": Part(template="parts/alert_channels.html", every="tick")}

    def title(self) -> str:
        """Return the heading."""
        return _("Channels of alerts")

    def context(self) -> dict[str, Any]:
        """Say where one is made."""
        may = self.caller.may(Right.ALERT_CHANNEL_ADD)
        return super().context() | {"add_address": self.to.of("alert_channel_add") if may else ""}

    def part_channels(self) -> dict[str, Any]:
        """Read every channel."""
        return {"lines": [channel_row(self, channel) for channel in channels.listing()]}


class ChannelPage(ChannelActs):
    """One channel."""

    right = Right.ALERT_CHANNELS
    template = "alert_channel.html"
    parts = {
        "channel": Part(template="parts/alert_channel.html", every="tick"),
        "rules": Part(template="parts/alert_channel_rules.html", every="slow"),
        "messages": Part(template="parts/alert_messages.html", every="tick"),
        "history": Part(template="parts/queue_history.html", every="slow"),
    }

    @cached_property
    def channel(self) -> ChannelFacts:
        """Return it, read once."""
        return channels.show(self.number(self.kwargs["channel"]))

    def title(self) -> str:
        """Return the heading."""
        return _("Channel %(name)s") % {"name": self.channel.name}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all channels."""
        return [*super().trail(), (self.to.of("alert_channels"), _("Channels"))]

    def part_channel(self) -> dict[str, Any]:
        """Read the channel."""
        return {"line": channel_row(self, self.channel)}

    def part_rules(self) -> dict[str, Any]:
        """Read which rules send to it."""
        if not self.caller.may(Right.ALERT_RULES):
            return {"hidden": True}
        return {
            "lines": [
                (rule.name, self.to.of("alert_rule", rule.id), rule.paused_at is not None)
                for rule in rules.listing()
                if any(to.id == self.channel.id for to in rule.channels)
            ]
        }

    def part_messages(self) -> dict[str, Any]:
        """Read what was sent to it of late."""
        if not self.caller.may(Right.ALERTS):
            return {"hidden": True}
        found = history.deliveries(channel=self.channel.id, limit=RECENT)
        return {
            "lines": messages(self, found.deliveries),
            "heading": _("Messages"),
            "all": self.to.of("alert_deliveries", channel=self.channel.id) if found.before else "",
        }

    def part_history(self) -> dict[str, Any]:
        """Read what operators did to it."""
        if not self.caller.may(Right.AUDIT):
            return {"hidden": True}
        what = f"alert channel {self.channel.id}"
        found = activity.find(object=what, limit=RECENT)
        return {"entries": found.entries, "address": self.to.of("activity", object=what)}
