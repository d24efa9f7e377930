"""The pages of alerts in a real browser: forms with and without JavaScript, questions, accessibility."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from openqueue.models import AlertRule
from tests.alerts.builders import make_channel, make_rule
from tests.browser.looks import FOLDER
from tests.browser.test_every_page import AXE, RULES
from tests.workbench.test_alerts import every_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SignIn = Callable[[User], None]


@pytest.fixture
def ada(page: Page, sign_in: SignIn) -> Page:
    sign_in(User.objects.create_superuser("ada"))
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_of_alerts_is_accessible(ada: Page, theme: str):
    ada.emulate_media(color_scheme=theme)
    found: dict[str, Any] = {}
    addresses = every_page()
    addresses["rule form"] = f"{addresses['rule_add']}?kind=failure_rate"
    addresses["channel form"] = f"{addresses['channel_add']}?kind=webhook"
    for name, address in addresses.items():
        ada.goto(address)
        ada.wait_for_load_state("networkidle")
        ada.evaluate(AXE)
        told = ada.evaluate("rules => axe.run('#content-start', rules)", RULES)
        wrong = [(one["id"], one["nodes"][0]["html"][:200]) for one in told["violations"]]
        if wrong:
            found[name] = wrong
        ada.screenshot(path=FOLDER / f"alert-{name.replace(' ', '-')}-{theme}.png", full_page=True)
    assert found == {}


def test_no_page_of_alerts_scrolls_sideways_on_a_telephone(ada: Page):
    ada.set_viewport_size({"width": 320, "height": 700})
    addresses = every_page()
    addresses["rule form"] = f"{addresses['rule_add']}?kind=failure_rate"
    for name, address in addresses.items():
        ada.goto(address)
        ada.screenshot(path=FOLDER / f"alert-{name.replace(' ', '-')}-320.png", full_page=True)
        inner = ada.evaluate(
            """() => [...document.querySelectorAll('#oq *')]
                .filter(one => !one.closest('.oq-scroll, .oq-tabs, dialog') && one.getBoundingClientRect().right > 321)
                .map(one => one.outerHTML.slice(0, 120))"""
        )
        assert inner == [], name


def test_without_javascript_a_rule_is_made_and_its_wrong_field_is_named(
    browser: Browser, ada: Page, live_server: Any
):
    make_channel(name="ops")
    plain = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=ada.context.storage_state()
    ).new_page()
    plain.goto("/admin/openqueue/alert/rules/")
    plain.get_by_role("link", name="New rule").click()
    plain.get_by_role("link", name="Failure rate").click()
    plain.get_by_label("Name").fill("payments fail")
    plain.get_by_label("Threshold").fill("120")
    plain.get_by_role("checkbox", name="ops").check()
    plain.get_by_role("button", name="Make the rule").click()
    expect(plain.get_by_label("Threshold")).to_be_focused()
    expect(plain.locator("#oq-error-threshold")).to_contain_text("from 0 to 100")
    expect(plain.get_by_role("checkbox", name="ops")).to_be_checked()
    plain.get_by_label("Threshold").fill("20")
    plain.get_by_role("button", name="Make the rule").click()
    expect(plain.get_by_role("heading", name="Rule payments fail")).to_be_visible()
    assert AlertRule.objects.get().threshold == 20
    plain.context.close()


def test_a_rule_is_paused_by_a_question_in_a_dialog_and_the_row_says_so(ada: Page):
    make_rule(name="late")
    ada.goto("/admin/openqueue/alert/rules/")
    ada.locator("[data-row]").get_by_role("button", name="Pause").click()
    dialog = ada.get_by_role("dialog", name="Pause rule late?")
    dialog.get_by_label("Why").fill("noise")
    dialog.get_by_role("button", name="Pause").click()
    expect(ada.locator("[data-row]")).to_contain_text("Paused")
    expect(ada.get_by_role("status").filter(has_text="Rule late is paused")).to_be_visible()
