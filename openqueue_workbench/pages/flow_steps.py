"""The steps of a flow: as rows of its table, and one in the panel beside its graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openqueue.control import run_facts, runs
from openqueue.control.callers import Right
from openqueue.control.flows import NodeFacts
from openqueue.errors import UnclearRun
from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.wording import Mark

if TYPE_CHECKING:
    from openqueue_workbench.pages.flows import FlowPage

NAMED: Final = 4
"""Of those that a step waits for, in its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step as a row."""

    node: NodeFacts
    mark: Mark
    reason: str
    waits_for: str
    seconds: float | None
    is_running: bool
    address: str
    """Of its panel."""
    run_address: str
    """Empty: the reader may not see runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStep:
    """One step in the panel."""

    row: StepRow
    before: list[tuple[str, str]]
    """Those that it waits or waited for, with their addresses."""
    behind: list[tuple[str, str]]
    """Those that wait for it."""
    error: Mapping[str, Any] | None
    """Empty too where the reader may not see what runs carry."""


def row(page: FlowPage, node: NodeFacts) -> StepRow:
    """Return a step as a row."""
    seconds = None
    if node.started_at is not None and (node.finished_at is not None or node.status == Status.RUNNING):
        seconds = ((node.finished_at or page.clock) - node.started_at).total_seconds()
    names = node.waits_for or node.after
    more = f" +{len(names) - NAMED}" if len(names) > NAMED else ""
    return StepRow(
        node=node,
        mark=wording.mark(node.status),
        reason=wording.reason(node.reason),
        waits_for=", ".join(names[:NAMED]) + more,
        seconds=seconds,
        is_running=node.status == Status.RUNNING,
        address=page.step_address(node),
        run_address=page.to.run(node.run_id) if page.caller.may(Right.READ) else "",
    )


def step(page: FlowPage, node: NodeFacts) -> ShownStep:
    """Return a step with everything that its panel shows."""
    by_name = {one.name: one for one in page.flow.nodes}
    return ShownStep(
        row=row(page, node),
        before=[(name, page.step_address(by_name[name])) for name in node.after if name in by_name],
        behind=[(one.name, page.step_address(one)) for one in page.flow.nodes if node.name in one.after],
        error=_error(page, node),
    )


def _error(page: FlowPage, node: NodeFacts) -> Mapping[str, Any] | None:
    if not page.caller.may(Right.DATA) or node.status not in {Status.FAILED, Status.RETRYING}:
        return None
    try:
        return run_facts.RunState.of(runs.read(node.run_id)).error
    except UnclearRun:  # retention was faster
        return None
