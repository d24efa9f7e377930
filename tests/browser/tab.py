"""A page, and all that goes over its wire: for tests that let its clock run."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

from tests.browser.conftest import is_guarded, is_ours


class Tab:
    """One page, and what goes over its wire."""

    def __init__(self, page: Page, server: str) -> None:
        self.page, self.server = page, server
        self.wrong: list[str] = []
        self.open = 0
        self.asked: Counter[str] = Counter()
        page.on("console", self.heard)
        page.on("pageerror", lambda error: self.wrong.append(f"a script raised: {error}"))
        page.on("request", self.sent)
        page.on(
            "response", lambda answer: is_guarded(answer) or self.wrong.append(f"no policy on {answer.url}")
        )
        page.on("requestfinished", self.answered)
        page.on("requestfailed", self.failed)

    def heard(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.wrong.append(f"the console: {said.text}")

    def sent(self, request: Request) -> None:
        self.open += 1
        if not is_ours(request.url, self.server):
            self.wrong.append(f"asks {request.url}")

    def answered(self, request: Request) -> None:
        self.open -= 1
        for part in parse_qs(urlsplit(request.url).query).get("_part", []):
            self.asked[part] += 1

    def failed(self, request: Request) -> None:
        self.open -= 1
        self.wrong.append(f"no answer from {request.url}: {request.failure}")


def at_rest(*tabs: Tab) -> None:
    """Wait until every question of these is answered."""
    tabs[0].page.wait_for_timeout(1)
    while any(tab.open for tab in tabs):
        tabs[0].page.wait_for_timeout(5)


def stop_clock(context: BrowserContext) -> None:
    """Have the clock of its pages stand still from before the first on; clock.run_for() lets time pass.

    Stopped later, it would count what a slow machine took, and leap in a page that lags behind.
    """
    now = datetime.now(UTC)
    # The clock of a page that is open would have passed `now` before it is paused.
    context.clock.install(time=now - timedelta(minutes=1))
    context.clock.pause_at(now)
