"""The health of everything: each runtime, the database, the sweeps, and what the settings leave to be wished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import ModelAdmin
from django.urls import reverse
from django.utils.functional import cached_property

import openqueue
from openqueue.conf import config
from openqueue.control import health, premises, standing
from openqueue.control.callers import Right
from openqueue.control.standing import Standing
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.look_only import LookOnly
from openqueue_workbench.pages import attention, health_rows


class HealthPage(Page):
    """The health of everything."""

    place = "health"
    template = "health.html"
    parts = {
        "standing": Part(template="parts/health_standing.html", every="tick"),
        "runtimes": Part(template="parts/health_runtimes.html", every="steady", late=True),
        "settings": Part(template="parts/health_settings.html", late=True),
    }

    def context(self) -> dict[str, Any]:
        """Offer the tables that have no page of their own."""
        return {"tables": self.tables()}

    @cached_property
    def standing(self) -> Standing:
        """Return how everything stands, read once."""
        return standing.read()

    def part_standing(self) -> dict[str, Any]:
        """Read what is wrong, the sweeps and the database; no broker is asked."""
        found = self.standing
        return {
            "lines": attention.concerns(self, found, []),
            "at": found.at,
            "sweeps": health_rows.sweeps(found),
            "database": premises.database(),
            "release": openqueue.__version__,
        }

    def part_runtimes(self) -> dict[str, Any]:
        """Ask every broker at the same time; one that hangs is waited for no longer than the others may take."""
        report = health.read()
        waiting: dict[str, int] = {}
        for queue in self.standing.queues:
            waiting[queue.runtime] = waiting.get(queue.runtime, 0) + queue.due + queue.later
        return {
            "runtimes": [
                health_rows.runtime(one, premises.of(one.alias), waiting=waiting.get(one.alias, 0))
                for one in report.runtimes
            ],
            "outbox_address": self.to.of("outbox") if self.caller.may(Right.OUTBOX) else "",
            "at": self.clock,
        }

    def part_settings(self) -> dict[str, Any]:
        """Run the checks."""
        levels = ("error", "warning", "info")
        found = sorted(premises.findings(), key=lambda one: (levels.index(one.level), one.id))
        return {"findings": found, "database": config.database}

    def tables(self) -> Sequence[dict[str, str]]:
        """Return the admin's plain tables that the reader may look at."""
        found = [
            (str(model._meta.verbose_name_plural).capitalize(), model._meta.model_name)
            for model, shown in self.site._registry.items()
            if isinstance(shown, LookOnly) and self.may_look(shown)
        ]
        return [
            {
                "name": name,
                "address": reverse(f"admin:openqueue_{model}_changelist", current_app=self.site.name),
            }
            for name, model in sorted(found)
        ]

    def may_look(self, shown: ModelAdmin[Any]) -> bool:
        """Tell whether the reader may look at a table."""
        return shown.has_view_permission(self.request)
