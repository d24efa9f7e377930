"""What the pages of alerts have in common."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from openqueue.control.callers import Right
from openqueue.errors import UnclearAlert
from openqueue_workbench.frame.page import Page

SECTIONS = (
    ("alert", Right.ALERTS),
    ("alert_rules", Right.ALERT_RULES),
    ("alert_channels", Right.ALERT_CHANNELS),
    ("alert_deliveries", Right.ALERTS),
)


class AlertPage(Page):
    """A page of the alerts: which section it belongs to."""

    place = "alert"
    section = "alert"

    def context(self) -> dict[str, Any]:
        """Return the sections that the reader sees, where there is more than this one."""
        titles = {
            "alert": _("Alerts"),
            "alert_rules": _("Rules"),
            "alert_channels": _("Channels"),
            "alert_deliveries": _("Messages"),
        }
        sections = [
            {"title": titles[name], "address": self.to.of(name), "is_here": name == self.section}
            for name, right in SECTIONS
            if self.caller.may(right)
        ]
        return {"sections": sections}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to the alerts."""
        return [(self.to.of("alert"), str(self.where.title))]

    @staticmethod
    def number(given: str) -> int:
        """Return the id of a rule or a channel.

        Raises:
            UnclearAlert: it is none.
        """
        if not (given.isascii() and given.isdigit() and len(given) <= 18):
            raise UnclearAlert(_("There is no rule or channel %(id)s.") % {"id": given[:50]})
        return int(given)
