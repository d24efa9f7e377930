"""Every page open for five minutes of its own clock, all at once, while a worker works: each tick is a real request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.app.crash_tasks import quick
from tests.browser.tab import Tab, at_rest, stop_clock
from tests.control.builders import make_run, make_worker
from tests.crash.conftest import stage as stage
from tests.crash.stage import Stage
from tests.workbench.test_alerts import every_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WHOLE = 300
PACES = {"fast": 2, "tick": 15, "steady": 15, "slow": 90}
"""Seconds from one request of a part to its next, of a reader who has chosen 15 s."""
ENDS = "flow one"
"""It is over once the worker has done its steps, and its page asks no more."""


def expected(tab: Tab) -> dict[str, int]:
    """Return how often each part of a page has to ask in the whole time."""
    paces: dict[str, str] = tab.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('#oq [data-every]')].map(
            one => [new URL(one.getAttribute('oq-get'), location).searchParams.get('_part'), one.dataset.every]))"""
    )
    return {part: WHOLE // PACES[pace] for part, pace in paces.items()}


@pytest.fixture
def tabs(context: BrowserContext, something: Mapping[str, str], live_server: Any) -> dict[str, Tab]:
    """Every page in a tab of its own, at rest; one clock for all, which stands still."""
    run = make_run(status="running", worker=make_worker(lease=timedelta(hours=1)))
    more = {f"alerts {name}": address for name, address in every_page().items()}
    more["run at work"] = f"{something['run']}{run}/?tab=logs"
    context.add_init_script(f"localStorage.setItem('openqueue.every', '{PACES['tick']}')")
    context.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # the browser's own wish
    stop_clock(context)
    made = {}
    for name, address in (something | more).items():
        tab = made[name] = Tab(context.new_page(), live_server.url)
        tab.page.goto(address)
    at_rest(*made.values())
    context.clock.run_for(1_000)
    at_rest(*made.values())
    return made


def test_no_page_says_a_word_in_its_console_in_five_minutes_nor_asks_another_host(
    context: BrowserContext, tabs: Mapping[str, Tab], stage: Stage
):
    stage.worker()
    wanted = {name: expected(tab) for name, tab in tabs.items()}
    for tab in tabs.values():
        tab.asked.clear()
    for second in range(0, WHOLE, PACES["fast"]):
        if second % PACES["tick"] == 0:
            quick.trigger()
        context.clock.run_for(1_000 * PACES["fast"])
        at_rest(*tabs.values())
    assert {name: tab.wrong for name, tab in tabs.items() if tab.wrong} == {}
    del wanted[ENDS]
    assert tabs[ENDS].asked["flow"] > 0
    assert expected(tabs[ENDS]) == {}
    for name, parts in wanted.items():
        for part, times in parts.items():
            assert abs(tabs[name].asked[part] - times) <= 1, (name, part)
    assert sum(len(parts) for parts in wanted.values()) > len(tabs)
