"""What can be done to a flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import flow_access
from openqueue.control.callers import Right
from openqueue.control.flows import FlowDetail, NodeFacts
from openqueue.errors import UnclearFlow
from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page

UNDONE: Final = (Status.FAILED, Status.CANCELLED, Status.EXPIRED)
"""How a step ends that did not complete."""
NAMED: Final = 5


class FlowActs(Page):
    """What can be done to a flow."""

    place = "flow"

    @act(gettext_lazy("Retry failed steps"), right=Right.FLOW_RETRY)
    def retry(self, on: str, fields: Mapping[str, str]) -> Told:
        """Begin the steps anew that did not complete."""
        answer = flow_access.retry(identity(on), caller=self.caller, reason=fields.get("reason", ""))
        if answer.outcome == flow_access.NOTHING:
            return Told(text=_("There was no step to retry."), level="warning")
        return Told(text=_("The steps that did not complete begin anew; what completed is kept."))

    @retry.before
    def ask_retry(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say which."""
        flow = self.found(on)
        undone = [node for node in flow.nodes if node.status in UNDONE]
        return Question(
            title=_("Retry failed steps of %(name)s?") % {"name": flow.name},
            text=_(
                "They begin anew with all their attempts, and those that wait for them wait again. What completed is "
                "kept."
            ),
            facts=[
                (_("Begin anew"), _counted(undone)),
                (_("Steps"), _named(undone)),
                (_("Completed, and kept"), wording.number(flow.completed)),
            ],
            fields=[Field(name="reason", label=_("Why"))],
        )

    @act(gettext_lazy("Cancel flow"), right=Right.FLOW_CANCEL, is_grave=True)
    def cancel(self, on: str, fields: Mapping[str, str]) -> Told:
        """End what waits, and ask what runs to stop."""
        answer = flow_access.cancel(identity(on), caller=self.caller, reason=fields.get("reason", ""))
        if answer.outcome == flow_access.FINISHED:
            return Told(text=_("It had ended already."), level="warning")
        if answer.flow.finished_at is None:
            return Told(text=_("What waited is cancelled; what runs was asked to stop."))
        return Told(text=_("The flow is cancelled."))

    @cancel.before
    def ask_cancel(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say what ends."""
        flow = self.found(on)
        return Question(
            title=_("Cancel flow %(name)s?") % {"name": flow.name},
            text=_(
                "Steps that wait end at once, and those that run are asked to stop. What completed stays completed. "
                "The steps can be retried afterwards."
            ),
            facts=[
                (_("Wait, and end at once"), wording.number(flow.waiting)),
                (_("On their way, and asked to stop"), wording.number(flow.active)),
                (_("Completed, and kept"), wording.number(flow.completed)),
            ],
            fields=[Field(name="reason", label=_("Why"))],
        )

    def found(self, on: str) -> FlowDetail:
        """Return the flow that an act is about."""
        return flow_access.one(identity(on), caller=self.caller)


def identity(on: str) -> UUID:
    """Return the id of a flow.

    Raises:
        UnclearFlow: it is none.
    """
    try:
        return UUID(on)
    except ValueError:
        raise UnclearFlow(_("There is no flow %(name)s.") % {"name": on[:40]}) from None


def _counted(nodes: Iterable[NodeFacts]) -> str:
    counts = Counter(node.status for node in nodes)
    said = [
        f"{wording.number(counts[one])} {wording.mark(one).word.lower()}" for one in UNDONE if counts[one]
    ]
    return ", ".join(said) or wording.number(0)


def _named(nodes: list[NodeFacts]) -> str:
    names = ", ".join(node.name for node in nodes[:NAMED])
    more = len(nodes) - NAMED
    return (
        _("%(names)s and %(count)s more") % {"names": names, "count": wording.number(more)}
        if more > 0
        else names
    )
