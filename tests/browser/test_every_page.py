"""What holds for every page in a real browser: accessible in both themes, at 320 px, quiet, and readable by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.looks import FOLDER

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


def opened(page: Page, address: str) -> None:
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200, address
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_its_picture_is_kept(
    page: Page, something: Mapping[str, str], theme: str
):
    page.emulate_media(color_scheme=theme)
    found: dict[str, Any] = {}
    for name, address in something.items():
        opened(page, address)
        page.evaluate(AXE)
        told = page.evaluate("rules => axe.run('#content-start', rules)", RULES)
        wrong = [
            (one["id"], [f"{node['html'][:160]} {node['failureSummary'][:200]}" for node in one["nodes"][:3]])
            for one in told["violations"]
        ]
        if wrong:
            found[name] = wrong
        page.screenshot(path=FOLDER / f"{name.replace(' ', '-')}-{theme}.png", full_page=True)
        expect(page.locator("h1")).to_have_count(1)
    assert found == {}


def test_no_page_scrolls_sideways_on_a_telephone_nor_at_twice_its_size(
    page: Page, something: Mapping[str, str]
):
    """At 200 % a window of 1280 pixels is 640 wide for its page."""
    wide = {}
    for name, address in something.items():
        page.set_viewport_size({"width": 640, "height": 400})
        opened(page, address)
        for width in (640, 390, 320):
            page.set_viewport_size({"width": width, "height": 700})
            found = page.evaluate("document.getElementById('oq').getBoundingClientRect().right")
            inner = page.evaluate(
                """width => [...document.querySelectorAll('#oq *')]
                    .filter(one => !one.closest('.oq-scroll, .oq-tabs, pre, .oq-draw, dialog'))
                    .filter(one => one.getBoundingClientRect().right > width + 1)
                    .map(one => one.outerHTML.slice(0, 120)).slice(0, 3)""",
                width,
            )
            if found > width + 1 or inner:
                wide[name, width] = (found, inner)
            page.screenshot(path=FOLDER / f"{name.replace(' ', '-')}-{width}.png", full_page=True)
    assert wide == {}


def test_every_page_reads_without_javascript(
    browser: Browser, page: Page, something: Mapping[str, str], live_server: Any
):
    plain = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=page.context.storage_state()
    ).new_page()
    for name, address in something.items():
        opened(plain, address)
        assert len(plain.locator("#oq-page").inner_text()) > 20, name
    plain.context.close()


def test_reading_from_right_to_left_nothing_falls_out_of_its_place(
    page: Page, something: Mapping[str, str], settings: Any
):
    settings.LANGUAGE_CODE = "ar"
    page.set_viewport_size({"width": 1280, "height": 800})
    for name in ("overview", "run", "run one", "queue"):
        opened(page, something[name])
        assert page.evaluate("document.documentElement.dir") == "rtl"
        assert page.evaluate("document.getElementById('oq').getBoundingClientRect().left") >= 0
        page.screenshot(path=FOLDER / f"{name.replace(' ', '-')}-rtl.png", full_page=True)
