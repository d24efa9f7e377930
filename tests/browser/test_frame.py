"""What every page of the Workbench does while it is open, in a real browser under the strictest policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, Route, expect

from openqueue.control import queue_acts
from openqueue.control.actor import Actor
from tests.app.tasks import add
from tests.browser.tab import stop_clock

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SignIn = Callable[[User], None]
ROW = "#oq-queue-default-default"
PATIENCE = 7_000
"""Milliseconds: longer than a page waits before it asks a server again that answered wrongly."""


@pytest.fixture
def at_queues(page: Page, sign_in: SignIn) -> Page:
    """The list of queues, read every two seconds."""
    sign_in(User.objects.create_superuser("ada"))
    page.goto("/admin/openqueue/queue/")
    page.get_by_label("Refresh every").select_option("2")
    return page


def polls(page: Page) -> list[str]:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "_part=" in request.url else None)
    return asked


def test_a_pause_shows_in_the_same_answer_and_a_second_browser_sees_it_within_a_tick(
    at_queues: Page, browser: Browser, live_server: Any
):
    second = browser.new_context(
        base_url=live_server.url, storage_state=at_queues.context.storage_state()
    ).new_page()
    second.goto("/admin/openqueue/queue/")
    row, other = at_queues.locator(ROW), second.locator(ROW)
    row.get_by_role("button", name="Pause").click()
    dialog = at_queues.get_by_role("dialog", name="Pause queue default?")
    dialog.get_by_label("Why").fill("the provider is down")
    dialog.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    expect(row).to_contain_text("by ada")
    expect(row).to_contain_text("the provider is down")
    expect(row.get_by_role("button", name="Resume")).to_be_visible()
    expect(at_queues.get_by_role("status").filter(has_text="is paused")).to_be_visible()
    expect(dialog).to_be_hidden()
    expect(other).to_contain_text("Paused")
    at_queues.reload()
    expect(row).to_contain_text("by ada")
    second.context.close()


def test_what_comes_while_a_queue_is_paused_is_held_and_shown(at_queues: Page):
    queue_acts.pause(["default"], actor=Actor(name="ben"))
    for number in range(5):
        add.trigger(a=number, b=1)
    held = at_queues.locator(f"{ROW} td").nth(2)
    expect(held).to_have_text("5")
    expect(at_queues.locator(f"{ROW} td").nth(1)).to_have_text("0")


def test_what_is_grave_wants_the_name_typed_and_says_so(at_queues: Page):
    add.trigger(a=1, b=1)
    at_queues.locator(ROW).get_by_role("button", name="Purge").click()
    dialog = at_queues.get_by_role("dialog", name="Purge queue default?")
    dialog.get_by_label("Type default to go on").fill("defualt")
    dialog.get_by_role("button", name="Purge").click()
    expect(dialog.get_by_role("alert")).to_have_text("Type default to go on.")
    dialog.get_by_label("Type default to go on").fill("default")
    dialog.get_by_role("button", name="Purge").click()
    expect(at_queues.get_by_role("status").filter(has_text="cancelled")).to_contain_text("1 run")


def test_a_question_is_left_with_escape_and_the_focus_goes_back(at_queues: Page):
    button = at_queues.locator(ROW).get_by_role("button", name="Pause")
    button.focus()
    button.press("Enter")
    expect(at_queues.get_by_role("dialog")).to_be_visible()
    at_queues.keyboard.press("Escape")
    expect(at_queues.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()


def test_a_server_that_fails_is_named_the_content_stays_and_it_recovers(at_queues: Page):
    def fail(route: Route) -> None:
        route.fulfill(status=503, body="away")

    at_queues.route("**/*_part=*", fail)
    trouble = at_queues.locator("#oq-trouble")
    expect(trouble).to_contain_text("the server answered 503")
    expect(trouble).to_contain_text("Next try in")
    expect(at_queues.locator(ROW)).to_be_visible()
    at_queues.unroute("**/*_part=*", fail)
    expect(trouble).to_be_hidden()
    at_queues.route("**/*_part=*", lambda route: route.abort())
    expect(trouble).to_contain_text("the server does not answer")


def test_an_ended_session_says_so_and_asks_no_more(at_queues: Page):
    Session.objects.all().delete()
    expect(at_queues.locator("#oq-trouble")).to_contain_text("Your session has ended.")
    expect(at_queues.get_by_role("link", name="Log in again")).to_be_visible()
    assert "Username" not in at_queues.content()
    asked = polls(at_queues)
    at_queues.wait_for_timeout(PATIENCE)
    assert asked == []


def test_a_permission_that_is_taken_away_ends_the_updates(page: Page, sign_in: SignIn):
    user = User.objects.create_user("vera", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_queuestate"))
    sign_in(user)
    page.goto("/admin/openqueue/queue/")
    page.get_by_label("Refresh every").select_option("2")
    expect(page.locator(ROW).get_by_role("button")).to_have_count(0)
    user.user_permissions.clear()
    expect(page.locator("#oq-trouble")).to_contain_text("You may no longer see this")
    asked = polls(page)
    page.wait_for_timeout(PATIENCE)
    assert asked == []


def test_updates_can_be_paused_and_keys_lead_to_pages(at_queues: Page):
    at_queues.keyboard.press("p")
    expect(at_queues.locator("#oq-fresh")).to_have_text("Updates are paused.")
    asked = polls(at_queues)
    at_queues.wait_for_timeout(PATIENCE)
    assert asked == []
    at_queues.keyboard.press("j")
    expect(at_queues.locator("[data-row] a").first).to_be_focused()
    at_queues.keyboard.press("g")
    at_queues.keyboard.press("o")
    expect(at_queues).to_have_url("/admin/openqueue/overview/")


def test_without_javascript_a_page_reads_and_acts(
    browser: Browser, page: Page, sign_in: SignIn, live_server: Any
):
    sign_in(User.objects.create_superuser("ada"))
    plain = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=page.context.storage_state()
    ).new_page()
    plain.goto("/admin/openqueue/queue/")
    expect(plain.get_by_text("Live updates need JavaScript.")).to_be_visible()
    plain.locator(ROW).get_by_role("button", name="Pause").click()
    expect(plain.get_by_role("heading", name="Pause queue default?")).to_be_visible()
    plain.get_by_label("Why").fill("by hand")
    plain.get_by_role("button", name="Pause", exact=True).click()
    expect(plain.locator(ROW)).to_contain_text("by ada")
    expect(plain.get_by_text("Queue default is paused")).to_be_visible()
    plain.context.close()


@pytest.mark.parametrize(
    ("place", "part"), [("health", "runtimes"), ("outbox", "runtimes"), ("outbox", "rows")]
)
def test_health_and_outbox_ask_every_15_seconds_and_not_while_they_are_hidden(
    page: Page, sign_in: SignIn, place: str, part: str
):
    sign_in(User.objects.create_superuser("ada"))
    stop_clock(page.context)
    page.goto(f"/admin/openqueue/{place}/")
    page.clock.run_for(1_000)
    expect(page.get_by_text("counting…")).to_have_count(0)
    asked = polls(page)
    page.clock.run_for(13_000)
    assert [url for url in asked if f"_part={part}" in url] == []
    with page.expect_request(lambda request: f"_part={part}" in request.url):
        page.clock.run_for(3_000)
    page.evaluate("() => Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.clock.run_for(1_000)
    asked.clear()
    page.clock.run_for(60_000)
    assert [url for url in asked if f"_part={part}" in url] == []
