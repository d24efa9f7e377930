"""The tabs above every page, and what the page's script must know."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openqueue_workbench.frame import assets
from openqueue_workbench.places import PLACES

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

HTMX: Final = json.dumps(
    {
        "prefix": "oq-",
        "includeIndicatorCSS": False,
        "noSwap": [204, 304, 401, 403, 404, 429, 500, 502, 503, 504],
        "morphIgnore": ["data-htmx-powered", "open", "data-oq-since"],
        "defaultTimeout": 20_000,
    }
)
"""Own prefix: a page may have another htmx on it, as under Unfold, and each must leave the other's markup alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """One tab."""

    title: str
    address: str
    key: str
    is_here: bool


def of(page: Page) -> dict[str, Any]:
    """Return what the frame of a page shows."""
    tabs = [
        Tab(
            title=str(place.title),
            address=page.to.of(place.name),
            key=place.key,
            is_here=place.name == page.place,
        )
        for place in PLACES
        if place.is_tab and page.caller.may(place.right) and page.site.is_registered(place.model)
    ]
    return {
        "tabs": tabs,
        "htmx_config": HTMX,
        "htmx_address": assets.address(page.to),
        "overview_address": page.to.of("overview"),
    }
