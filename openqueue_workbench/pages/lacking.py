"""What a runtime cannot do: said once, at the foot of the pages where a control is missing for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openqueue.conf import config
from openqueue.control import health
from openqueue.control.callers import Right
from openqueue.wording import in_language

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page


def runtimes(page: Page, *capabilities: str) -> list[dict[str, str]]:
    """Return which runtimes lack which of these, with what that means; no broker is asked."""
    address = page.to.of("health") if page.caller.may(Right.FLEET) else ""
    return [
        {
            "alias": alias,
            "name": fact.name.replace("_", " "),
            "why": in_language(fact.why),
            "address": f"{address}#oq-part-runtimes" if address else "",
        }
        for alias in config.runtimes
        for fact in health.capabilities(alias)
        if fact.name in capabilities and fact.why
    ]
