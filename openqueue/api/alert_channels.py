"""Where alerts are sent: only who holds the right says where, and nobody reads a URL or a secret back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Reason, Why, act
from openqueue.api.views import ApiView
from openqueue.control.alerts import channels
from openqueue.control.alerts.channels import ChannelFacts, MadeChannel
from openqueue.control.callers import Right

Unset = msgspec.UnsetType
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Url = Annotated[str, msgspec.Meta(max_length=1_000)]
Recipients = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=320)]], msgspec.Meta(min_length=1, max_length=20)
]


class ChannelChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to change about a channel; what is not named stays."""

    name: Name | Unset = msgspec.UNSET
    url: Url | Unset = msgspec.UNSET
    """Of a webhook, or of a chat that takes Slack's messages."""
    recipients: Recipients | Unset = msgspec.UNSET
    """Of mails."""
    reason: Reason = ""


class NewChannel(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A channel to make."""

    name: Name
    kind: Literal["email", "webhook", "slack"]
    url: Url | Unset = msgspec.UNSET
    recipients: Recipients | Unset = msgspec.UNSET
    reason: Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelList:
    """Every channel by name."""

    channels: Sequence[ChannelFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAnswer:
    """What came of an act, and the channel as it is now."""

    outcome: str
    channel: ChannelFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A test on its way: its log tells what becomes of it."""

    delivery: UUID


class AlertChannels(ApiView):
    """All channels."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="list_alert_channels",
            right=Right.ALERT_CHANNELS,
            answers={200: ChannelList},
            whole=True,
            tagged=True,
        ),
        "post": Operation(
            id="create_alert_channel",
            right=Right.ALERT_CHANNEL_ADD,
            body=NewChannel,
            answers={201: MadeChannel},
            problems=(413, 415, 501),
            whole=True,
        ),
    }

    def get(self, request: Request) -> Response:
        """List every channel, and how sending to it goes."""
        return Response(ChannelList(channels=channels.listing()))

    def post(self, request: Request) -> Response:
        """Make a channel; the secret that a webhook is signed with is in this answer alone."""
        new = self.body(request, NewChannel)
        made = channels.create(
            new.name,
            kind=new.kind,
            url=None if isinstance(new.url, Unset) else new.url,
            recipients=None if isinstance(new.recipients, Unset) else new.recipients,
            actor=self.caller(request).actor,
            reason=new.reason,
        )
        return Response(made, status=201)


class OneAlertChannel(ApiView):
    """One channel."""

    section = "alerts"
    operations = {
        "get": Operation(
            id="get_alert_channel",
            right=Right.ALERT_CHANNELS,
            answers={200: ChannelFacts},
            problems=(404,),
            whole=True,
            tagged=True,
        ),
        "patch": Operation(
            id="change_alert_channel",
            right=Right.ALERT_CHANNEL_CHANGE,
            body=ChannelChange,
            answers={200: ChannelAnswer},
            problems=(404, 413, 415, 501),
            whole=True,
        ),
        "delete": Operation(
            id="delete_alert_channel",
            right=Right.ALERT_CHANNEL_DELETE,
            answers={204: None},
            problems=(404,),
            whole=True,
        ),
    }

    def get(self, request: Request, channel: int) -> Response:
        """Look at one channel."""
        return Response(channels.show(channel))

    def patch(self, request: Request, channel: int) -> Response:
        """Change a channel; a URL that is not named stays."""
        change = self.body(request, ChannelChange)
        changed = channels.change(
            channel,
            name=None if isinstance(change.name, Unset) else change.name,
            url=None if isinstance(change.url, Unset) else change.url,
            recipients=None if isinstance(change.recipients, Unset) else change.recipients,
            actor=self.caller(request).actor,
            reason=change.reason,
        )
        return Response(ChannelAnswer(outcome="changed", channel=changed))

    def delete(self, request: Request, channel: int) -> Response:
        """Delete a channel; rules that sent to it send to their others."""
        channels.delete(channel, actor=self.caller(request).actor)
        return Response(None, status=204)


class AlertChannelPause(ApiView):
    """The pause of a channel."""

    section = "alerts"
    operations = act("pause_alert_channel", Right.ALERT_CHANNEL_CHANGE, ChannelAnswer, whole=True)

    def post(self, request: Request, channel: int) -> Response:
        """Send nothing to a channel, also not what waits."""
        why = self.body(request, Why)
        outcome = channels.pause(channel, actor=self.caller(request).actor, reason=why.reason)
        return Response(ChannelAnswer(outcome=outcome, channel=channels.show(channel)))


class AlertChannelResumption(ApiView):
    """The end of a pause."""

    section = "alerts"
    operations = act("resume_alert_channel", Right.ALERT_CHANNEL_CHANGE, ChannelAnswer, whole=True)

    def post(self, request: Request, channel: int) -> Response:
        """Send to a channel from now on."""
        why = self.body(request, Why)
        outcome = channels.resume(channel, actor=self.caller(request).actor, reason=why.reason)
        return Response(ChannelAnswer(outcome=outcome, channel=channels.show(channel)))


class AlertChannelTest(ApiView):
    """A test of a channel."""

    section = "alerts"
    operations = act(
        "test_alert_channel", Right.ALERT_CHANNEL_CHANGE, Tested, problems=(404,), status=202, whole=True
    )

    def post(self, request: Request, channel: int) -> Response:
        """Have a test sent, as an alert would be."""
        why = self.body(request, Why)
        delivery = channels.try_out(channel, actor=self.caller(request).actor, reason=why.reason)
        return Response(Tested(delivery=delivery), status=202)


class AlertChannelSecret(ApiView):
    """The secret that a webhook is signed with."""

    section = "alerts"
    operations = act(
        "rotate_alert_channel_secret",
        Right.ALERT_CHANNEL_CHANGE,
        MadeChannel,
        problems=(404, 501),
        whole=True,
    )

    def post(self, request: Request, channel: int) -> Response:
        """Give a webhook another signing secret; it is in this answer alone."""
        why = self.body(request, Why)
        return Response(channels.rotate(channel, actor=self.caller(request).actor, reason=why.reason))
