"""Alerts, and whom they reach: the pages, each a route below the place's own, a name, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages.alerts.alerts import AlertsPage, MessagesPage, OneAlertPage
from openqueue_workbench.pages.alerts.channel_form import EditChannelPage, NewChannelPage
from openqueue_workbench.pages.alerts.channels import ChannelPage, ChannelsPage
from openqueue_workbench.pages.alerts.rule_form import EditRulePage, NewRulePage
from openqueue_workbench.pages.alerts.rules import RulePage, RulesPage

ROUTES: Final[Sequence[tuple[str, str, type[Page]]]] = [
    ("", "changelist", AlertsPage),
    ("<uuid:alert>/", "change", OneAlertPage),
    ("rules/", "rules", RulesPage),
    ("rules/add/", "rule_add", NewRulePage),
    ("rules/<str:rule>/", "rule", RulePage),
    ("rules/<str:rule>/edit/", "rule_edit", EditRulePage),
    ("channels/", "channels", ChannelsPage),
    ("channels/add/", "channel_add", NewChannelPage),
    ("channels/<str:channel>/", "channel", ChannelPage),
    ("channels/<str:channel>/edit/", "channel_edit", EditChannelPage),
    ("messages/", "deliveries", MessagesPage),
]
