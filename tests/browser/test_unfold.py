"""The Workbench in an admin that is not Django's own: django-unfold, which has another htmx on each page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.looks import FOLDER
from tests.control.builders import make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def unfolded(settings: Any) -> None:
    before = admin.site
    # Not "unfold" alone: that one puts a site of its own in place of Django's, for all tests that come after.
    settings.INSTALLED_APPS = ["unfold.apps.BasicAppConfig", *settings.INSTALLED_APPS]
    assert admin.site is before
    settings.ROOT_URLCONF = "tests.browser.unfolded"
    settings.STRICT_POLICY = False  # Unfold's own scripts need eval


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_look_complete_and_requests_are_sent_once(
    page: Page, sign_in: Callable[[User], None], theme: str
):
    make_run(status="failed")
    page.emulate_media(color_scheme=theme)
    sign_in(User.objects.create_superuser("ada"))
    for place in ("overview", "run", "queue"):
        page.goto(f"/admin/openqueue/{place}/")
        page.wait_for_load_state("networkidle")
        expect(page.locator("#oq")).to_be_visible()
        page.screenshot(path=FOLDER / f"unfold-{place}-{theme}.png", full_page=True)
    ground = page.locator(".oq-table thead th").first.evaluate("one => getComputedStyle(one).backgroundColor")
    assert ground not in {"rgba(0, 0, 0, 0)", ""}
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(asked.method) if asked.method == "POST" else None)
    row = page.locator("#oq-queue-default-default")
    row.get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog", name="Pause queue default?")
    dialog.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("by ada")
    assert sent == ["POST", "POST"]
    assert page.evaluate("window.htmx && window.htmx.version.startsWith('2')"), "Unfold has lost its own htmx"
