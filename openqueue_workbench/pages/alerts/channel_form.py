"""The form of a channel: its kind is chosen first. What is secret goes in, and never comes out again."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control.alerts import channels
from openqueue.control.alerts.channels import ChannelFacts
from openqueue.control.callers import Right
from openqueue_workbench.frame.acts import Told, act
from openqueue_workbench.frame.forms import Input
from openqueue_workbench.pages.alerts import words
from openqueue_workbench.pages.alerts.acts import WHY, Fields, why
from openqueue_workbench.pages.alerts.form import FormPage


class ChannelForm(FormPage):
    """The fields of a channel."""

    section = "alert_channels"
    template = "alert_channel_form.html"
    secret: str | None = None

    @property
    @abstractmethod
    def kind(self) -> str:
        """Return the kind that was chosen; empty: none."""

    @property
    def channel(self) -> ChannelFacts | None:
        """Return the channel that is changed."""
        return None

    @property
    def back(self) -> str:
        """Return where to go without saving."""
        return self.to.of("alert_channels")

    def context(self) -> dict[str, Any]:
        """Return the form, or the kinds to choose from."""
        kinds = [
            (title, text, self.address_with(kind=name)) for name, (title, text) in words.CHANNELS.items()
        ]
        return super().context() | {
            "kinds": [] if self.kind else kinds,
            "kind": words.CHANNELS[self.kind][0] if self.kind else "",
            "about": words.CHANNELS[self.kind][1] if self.kind else "",
            "back": self.back,
        }

    @property
    def recipients(self) -> list[str] | None:
        """Return the addresses that were sent; none of a channel that has some leave these."""
        sent = self.request.POST.get("recipients")
        found = None if sent is None else [one for one in re.split(r"[\s,;]+", sent) if one]
        return None if self.channel is not None and not found else found

    @cached_property
    def inputs(self) -> Sequence[Input]:
        """Return the fields of the kind."""
        if not self.kind:
            return []
        old = self.channel
        kept = _("Now: %(shown)s. Leave it empty to keep it.") % {"shown": old.shown} if old else ""
        fields = [
            Input(
                name="name", label=_("Name"), value=self.typed("name", old.name if old else ""), required=True
            )
        ]
        if self.kind == "email":
            shown = old.shown if old else ""
            is_whole = not shown.endswith(" and more")
            fields.append(
                Input(
                    name="recipients",
                    label=_("Addresses"),
                    kind="textarea",
                    value=self.typed("recipients", "\n".join(shown.split(", ")) if is_whole else ""),
                    help=_("One in a line, 20 at most.") if is_whole else kept,
                    required=old is None,
                )
            )
        else:
            fields.append(
                Input(
                    name="url",
                    label=_("URL"),
                    kind="url",
                    value=self.typed("url", ""),
                    help=kept or _("It is kept encrypted, and never shown again as a whole."),
                    required=old is None,
                )
            )
        return [*fields, Input(name=WHY, label=_("Why (it is kept on record)"), value=self.typed(WHY, ""))]


class NewChannelPage(ChannelForm):
    """A channel to be made."""

    right = Right.ALERT_CHANNEL_ADD

    def title(self) -> str:
        """Return the heading."""
        if not self.kind:
            return _("New channel")
        return _("New channel: %(kind)s") % {"kind": words.CHANNELS[self.kind][0]}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all channels."""
        return [*super().trail(), (self.to.of("alert_channels"), _("Channels"))]

    @property
    def kind(self) -> str:
        """Return the kind that the address names."""
        given = self.request.GET.get("kind", "")
        return given if given in words.CHANNELS else ""

    @act(gettext_lazy("Make the channel"), right=Right.ALERT_CHANNEL_ADD)
    def create(self, on: str, fields: Fields) -> Told:
        """Make it."""
        return self.checked(lambda: self._create(fields))

    def _create(self, fields: Fields) -> Told:
        made = channels.create(
            fields.get("name", ""),
            kind=self.kind,
            url=fields.get("url"),
            recipients=self.recipients,
            actor=self.caller.actor,
            reason=why(fields),
        )
        text = _("Channel %(name)s is made. Send a test to it, and tick it in the rules that concern it.")
        may = self.caller.may(Right.ALERT_CHANNELS)
        on = self.to.of("alert_channel", made.channel.id) if may else self.to.of("alert")
        if made.secret is None:
            return Told(text=text % {"name": made.channel.name}, go_to=on)
        self.secret, self.is_answered, self.made_address = made.secret, True, on
        return Told(text=text % {"name": made.channel.name})

    made_address = ""
    """Of what was made."""


class EditChannelPage(ChannelForm):
    """A channel to be changed."""

    right = Right.ALERT_CHANNEL_CHANGE

    @cached_property
    def channel(self) -> ChannelFacts:
        """Return it, read once."""
        return channels.show(self.number(self.kwargs["channel"]))

    def title(self) -> str:
        """Return the heading."""
        return _("Edit channel %(name)s") % {"name": self.channel.name}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to the channel."""
        return [
            *super().trail(),
            (self.to.of("alert_channels"), _("Channels")),
            (self.back, self.channel.name),
        ]

    @property
    def kind(self) -> str:
        """Return its kind."""
        return self.channel.kind

    @property
    def back(self) -> str:
        """Return where to go without saving."""
        return self.to.of("alert_channel", self.channel.id)

    @act(gettext_lazy("Save"), right=Right.ALERT_CHANNEL_CHANGE)
    def save(self, on: str, fields: Fields) -> Told:
        """Change it."""
        return self.checked(lambda: self._save(fields))

    def _save(self, fields: Fields) -> Told:
        changed = channels.change(
            self.channel.id,
            name=fields.get("name"),
            url=fields.get("url") or None,
            recipients=self.recipients,
            actor=self.caller.actor,
            reason=why(fields),
        )
        return Told(text=_("Channel %(name)s is changed.") % {"name": changed.name}, go_to=self.back)
