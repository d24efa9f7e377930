"""Flows in words: how each stands, and what a failure means in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from openqueue.control.flows import FlowFacts
from openqueue.states import FlowStatus, Policy, Status

ORDER: Final = (
    Status.COMPLETED, Status.RUNNING, Status.RETRYING, Status.FAILED, Status.CANCELLED, Status.EXPIRED,
    Status.QUEUED, Status.SCHEDULED, Status.WAITING,
)  # fmt: skip
"""Of the parts of a flow's bar."""
POLICIES: Final[Mapping[str, Promise]] = {
    Policy.FAIL: gettext_lazy(
        "Fail what depends on it: where a step does not complete, those that wait for it fail as well. Other "
        "branches go on."
    ),
    Policy.CONTINUE: gettext_lazy(
        "Finish what can run: where a step does not complete, those that wait for it start all the same."
    ),
    Policy.BLOCK: gettext_lazy(
        "Wait for an operator: where a step does not complete, those that wait for it wait on."
    ),
}


def policy(flow: FlowFacts) -> str:
    """Return what becomes of steps that wait for one that did not complete, unless they say otherwise themselves."""
    return str(POLICIES.get(flow.policy, flow.policy))


def parts(flow: FlowFacts) -> dict[str, int]:
    """Return how many steps stand how, as far as a flow counts them: what is on its way is not told apart."""
    undone = Status.CANCELLED if flow.status == FlowStatus.CANCELLED else Status.FAILED
    return {
        Status.COMPLETED: flow.completed,
        Status.RUNNING: flow.active,
        undone: flow.failed,
        Status.WAITING: flow.waiting,
    }
