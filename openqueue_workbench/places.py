"""The places of the Workbench in the admin: what stands in the sidebar, under which address, and who sees it.

The admin takes models and nothing else. These are models without tables, kept in a registry of their own, so that
no migration, content type or permission ever hears of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.apps.registry import Apps
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from openqueue.control.callers import Right

APP: Final = "openqueue"
PART: Final = "_part"
"""In the query of a page: the name of the part that is wanted alone."""
OWN: Final = Apps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One entry of the sidebar and of the tabs."""

    name: str
    """In addresses: <admin>/openqueue/<name>/."""
    title: Promise
    right: Right
    key: str = ""
    """The letter that follows g on the keyboard."""
    is_tab: bool = True

    @property
    def model(self) -> type[models.Model]:
        """Return what the admin registers."""
        return _model(self)


PLACES: Final[Sequence[Place]] = (
    Place(name="overview", title=_("Overview"), right=Right.READ, key="o"),
    Place(name="run", title=_("Runs"), right=Right.READ, key="r"),
    Place(name="queue", title=_("Queues"), right=Right.QUEUES, key="q"),
    Place(name="flow", title=_("Flows"), right=Right.FLOWS, key="f"),
    Place(name="schedule", title=_("Schedules"), right=Right.SCHEDULES, key="s"),
    Place(name="error", title=_("Errors"), right=Right.ERRORS, key="e"),
    Place(name="deadletter", title=_("Dead letters"), right=Right.READ, key="d"),
    Place(name="outbox", title=_("Outbox"), right=Right.OUTBOX),
    Place(name="worker", title=_("Workers"), right=Right.FLEET, key="w"),
    Place(name="metrics", title=_("Metrics"), right=Right.READ, key="m"),
    Place(name="log", title=_("Logs"), right=Right.DATA),
    Place(name="health", title=_("Runtime health"), right=Right.FLEET, key="h"),
    Place(name="alert", title=_("Alerts"), right=Right.ALERTS),
    Place(name="activity", title=_("Operator activity"), right=Right.AUDIT),
    Place(name="enqueue", title=_("Enqueue a run"), right=Right.TRIGGER),
    Place(name="bulk", title=_("Bulk operations"), right=Right.READ, is_tab=False),
)
BY_NAME: Final = {place.name: place for place in PLACES}
_made: dict[str, type[models.Model]] = {}


def _model(place: Place) -> type[models.Model]:
    if place.name not in _made:
        meta = {
            "app_label": APP,
            "apps": OWN,
            "managed": False,
            "default_permissions": (),
            "verbose_name": place.title,
            "verbose_name_plural": place.title,
        }
        members: dict[str, Any] = {"__module__": __name__, "Meta": type("Meta", (), meta)}
        _made[place.name] = type(place.name.capitalize(), (models.Model,), members)
    return _made[place.name]
