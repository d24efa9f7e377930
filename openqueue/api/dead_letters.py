"""Dead letters: counted, and the messages among them listed and discarded. Dead runs are runs of the status failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Why, act
from openqueue.api.views import ApiView
from openqueue.control import dead_letters
from openqueue.control.callers import Right
from openqueue.control.dead_letters import DeadMessage, Groups


class LetterQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which messages to list."""

    discarded: bool = False
    """Those that somebody discarded, in place of those that nobody has."""
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | msgspec.UnsetType = msgspec.UNSET
    """The last id of the page before."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessages:
    """Messages that could not become a run, newest first."""

    messages: Sequence[DeadMessage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """How many were taken off the list."""

    discarded: int


class DeadLetters(ApiView):
    """What is dead."""

    section = "dead letters"
    operations = {
        "get": Operation(id="count_dead_letters", right=Right.READ, answers={200: Groups}, tagged=True)
    }

    def get(self, request: Request) -> Response:
        """Count failed runs, and messages that could not become a run, by queue, task and reason."""
        return Response(dead_letters.groups(caller=self.caller(request)))


class DeadMessageList(ApiView):
    """Messages that could not become a run."""

    section = "dead letters"
    operations = {
        "get": Operation(
            id="list_dead_messages", right=Right.READ, query=LetterQuery, answers={200: DeadMessages}, tagged=True
        )
    }  # fmt: skip

    def get(self, request: Request) -> Response:
        """List messages that could not become a run, newest first."""
        asked = self.parameters(request, LetterQuery)
        found = dead_letters.messages(
            caller=self.caller(request),
            discarded=asked.discarded,
            before=None if isinstance(asked.before, msgspec.UnsetType) else asked.before,
            limit=asked.limit,
        )
        return Response(DeadMessages(messages=found))


class DeadMessageDiscard(ApiView):
    """A message that somebody has seen enough of."""

    section = "dead letters"
    operations = act("discard_dead_message", Right.DISCARD, Discarded, problems=(404, 409))

    def post(self, request: Request, letter: int) -> Response:
        """Take a message off the list; who did so and why is kept."""
        why = self.body(request, Why)
        done = dead_letters.discard([letter], caller=self.caller(request), reason=why.reason)
        return Response(Discarded(discarded=done))
