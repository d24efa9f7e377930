"""Flows: several tasks with what they wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.control import activity, flow_access
from openqueue.control.callers import Right
from openqueue.control.flows import STATUSES, FlowDetail, FlowFacts, NodeFacts
from openqueue.states import FlowStatus
from openqueue_workbench import wording
from openqueue_workbench.drawing import graph, inline, nodes
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import flow_steps, flow_words, lacking
from openqueue_workbench.pages.flow_acts import UNDONE, FlowActs
from openqueue_workbench.places import PART

SIZE: Final = 50
LISTED: Final = 100
"""Steps that the table shows at a time."""


class FlowsPage(FlowActs):
    """All flows."""

    template = "flows.html"
    parts = {"flows": Part(template="parts/flow_table.html", every="tick")}

    def context(self) -> dict[str, Any]:
        """Offer what the list can be narrowed to."""
        choices = [("", _("All")), *((one, wording.mark(one).word) for one in STATUSES)]
        return {
            "choices": [
                {
                    "name": name,
                    "is_chosen": value == (self.only or ""),
                    "address": self.address_with(status=value or None, after=None),
                }
                for value, name in choices
            ],
            "name": self.request.GET.get("name", ""),
            "status": self.only or "",
            "lacking": lacking.runtimes(self, "flows"),
        }

    @property
    def only(self) -> str | None:
        """Return the only status to be listed."""
        asked = self.request.GET.get("status", "")
        return asked if asked in STATUSES else None

    def part_flows(self) -> dict[str, Any]:
        """Read a page of them."""
        name = self.request.GET.get("name", "").strip() or None
        try:
            after = UUID(self.request.GET.get("after", ""))
        except ValueError:
            after = None
        page = flow_access.listing(status=self.only, name=name, after=after, limit=SIZE, caller=self.caller)
        return {
            "lines": [self.line(flow) for flow in page.flows],
            "is_narrow": bool(name or self.only or after),
            "all_address": self.to.of("flow"),
            "first_address": self.address_with(after=None) if after else "",
            "next_address": self.address_with(after=str(page.next)) if page.next else "",
        }

    def line(self, flow: FlowFacts) -> dict[str, Any]:
        """Return one flow as a row."""
        return {
            "flow": flow,
            "bar": inline.segmented(flow_words.parts(flow), order=flow_words.ORDER),
            "seconds": took(self, flow),
            "address": self.to.of("flow_change", flow.id),
        }


class FlowPage(FlowActs):
    """One flow."""

    template = "flow.html"
    parts = {
        "flow": Part(template="parts/flow.html", every="fast"),
        "history": Part(template="parts/queue_history.html", every="slow"),
    }

    @property
    def id(self) -> UUID:
        """Return which."""
        return UUID(str(self.kwargs["flow"]))

    @cached_property
    def flow(self) -> FlowDetail:
        """Return it as it was when this answer began, or after its act."""
        return flow_access.one(self.id, caller=self.caller)

    def title(self) -> str:
        """Return the heading."""
        return self.flow.name

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all flows."""
        return [(self.to.of("flow"), str(self.where.title))]

    def pace(self, name: str) -> str:
        """Leave alone what has ended; what waits for an operator is not in a hurry."""
        if self.flow.finished_at is not None:
            return ""
        return "tick" if name == "flow" and self.flow.status == FlowStatus.BLOCKED else super().pace(name)

    def part_flow(self) -> dict[str, Any]:
        """Draw it, and list its steps."""
        flow = self.flow
        opened = self.request.GET.getlist("expand")
        chosen = next((node for node in flow.nodes if node.name == self.request.GET.get("step")), None)
        steps = nodes.steps(flow.nodes, url=self.step_address, now=self.clock)
        undone = any(node.status in UNDONE for node in flow.nodes) or flow.failed > 0
        return {
            "flow": flow,
            "bar": inline.segmented(self.counts(), order=flow_words.ORDER),
            "policy": flow_words.policy(flow),
            "seconds": took(self, flow),
            "graph": graph.drawn(
                "oq-flow",
                steps,
                expanded=opened,
                opens=self.group_address,
                selected=chosen.name if chosen else "",
                total=flow.total,
            ),
            "opened": [(family(key), self.without_group(key)) for key in opened],
            "step": flow_steps.step(self, chosen) if chosen else None,
            "closed": self.address_with(step=None),
            "not_retried": "" if undone else _("Every step that has ended completed."),
            "not_cancelled": _("It has ended.") if flow.finished_at else "",
            **self.table(flow.nodes),
        }

    def counts(self) -> dict[str, int]:
        """Return how many steps stand how; of a long flow not all are read."""
        if self.flow.nodes_left_off:
            return flow_words.parts(self.flow)
        return Counter(node.status for node in self.flow.nodes)

    def table(self, found: Sequence[NodeFacts]) -> dict[str, Any]:
        """Return the steps that the table shows, and what it can be narrowed to."""
        counts = Counter(node.status for node in found)
        only = self.request.GET.get("state", "")
        wanted = [node for node in found if node.status == only] if only in counts else list(found)
        given = self.request.GET.get("from", "")
        first = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0
        choices = [
            {
                "name": name,
                "count": wording.number(count),
                "is_chosen": value == (only if only in counts else ""),
                "address": self.address_with(state=value or None, **{"from": None}),
            }
            for value, name, count in [
                ("", _("All"), len(found)),
                *((one, wording.mark(one).word, counts[one]) for one in sorted(counts)),
            ]
        ]
        after = first + LISTED
        return {
            "rows": [flow_steps.row(self, node) for node in wanted[first:after]],
            "step_choices": choices if len(counts) > 1 else [],
            "newer_steps": self.address_with(
                **{"from": str(max(0, first - LISTED)) if first > LISTED else None}
            )
            if first
            else "",
            "older_steps": self.address_with(**{"from": str(after)}) if len(wanted) > after else "",
        }

    def step_address(self, node: NodeFacts) -> str:
        """Return where a step's panel is open."""
        return self.address_with(step=node.name)

    def group_address(self, key: str) -> str:
        """Return where a group is open."""
        return self._with_groups([*self.request.GET.getlist("expand"), key])

    def without_group(self, key: str) -> str:
        """Return where a group is closed again."""
        return self._with_groups([one for one in self.request.GET.getlist("expand") if one != key])

    def _with_groups(self, keys: Sequence[str]) -> str:
        query = {name: self.request.GET.getlist(name) for name in self.request.GET if name != PART}
        query["expand"] = list(dict.fromkeys(keys))
        return f"{self.request.path}?{urlencode(query, doseq=True)}"

    def part_history(self) -> dict[str, Any]:
        """Read what operators did to it."""
        if not self.caller.may(Right.AUDIT):
            return {"hidden": True}
        found = activity.find(object=f"flow {self.id}", limit=10)
        return {"entries": found.entries, "address": self.to.of("activity", object=f"flow {self.id}")}


def family(key: str) -> str:
    """Return the name of a group."""
    return key.rpartition("@")[0] or key


def took(page: FlowActs, flow: FlowFacts) -> float:
    """Return how long it took, or takes so far."""
    return flow.seconds if flow.seconds is not None else (page.clock - flow.created_at).total_seconds()
