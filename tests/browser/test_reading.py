"""What somebody does at a page stays as it is while the page renews itself; its clock is the test's."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from playwright.sync_api import Locator, Page, expect

from openqueue.models import Run
from openqueue.store import store
from openqueue.types import LogLine
from tests.browser.tab import Tab, at_rest, stop_clock
from tests.control.builders import clock, make_run, make_worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AT = "/admin/openqueue"
DARK, LIGHT = "rgb(18, 18, 18)", "rgb(255, 255, 255)"
"""The ground of Django's admin."""
GROUNDS = """
window.grounds = new Set();
const look = () => {
    if (document.body) grounds.add(getComputedStyle(document.body).backgroundColor);
    requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
"""Notes which ground each frame is painted on."""


@pytest.fixture
def ada(page: Page, sign_in: Callable[[User], None]) -> Page:
    """A page of who may do everything."""
    sign_in(User.objects.create_superuser("ada"))
    return page


def go(page: Page, address: str) -> None:
    """Open a page whose clock stands still."""
    stop_clock(page.context)
    page.goto(f"{AT}/{address}")
    page.clock.run_for(1_000)
    page.wait_for_load_state("networkidle")


def let_pass(tab: Tab, seconds: int) -> None:
    """Let so much time pass on the page; what it asks is answered before more passes."""
    for _ in range(0, seconds, 2):
        tab.page.clock.run_for(2_000)
        at_rest(tab)


def test_the_lines_of_a_minute_come_in_order_once_each_and_the_reader_stays_where_they_are(
    ada: Page, live_server: Any
):
    run = make_run(status="running", worker=make_worker())
    sent = 0

    def log(lines: int) -> None:
        nonlocal sent
        new = [LogLine(run, 1, 20, f"line {sent + number}", 0.0) for number in range(lines)]
        store().note(progress=[], logs=new)
        sent += lines

    log(60)
    tab = Tab(ada, live_server.url)
    go(ada, f"run/{run}/?tab=logs")
    said, box = ada.locator(".oq-said"), ada.locator("#oq-logs")
    box.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    for tick in range(30):
        log(tick % 3)  # none, one, or two: what is asked for twice would come twice
        let_pass(tab, 2)
        expect(said).to_have_count(sent)
        if tick < 15:
            assert box.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight") < 8
        elif tick > 15:
            assert box.evaluate("box => box.scrollTop") == 40
        else:
            box.evaluate("box => { box.scrollTop = 40; }")
    assert said.all_inner_texts() == [f"line {number}" for number in range(sent)]


def test_what_is_opened_stays_open_and_what_is_typed_stays_typed(ada: Page, live_server: Any):
    tab = Tab(ada, live_server.url)
    go(ada, "health/")
    options = ada.locator("#oq-can-default")
    expect(options).to_have_attribute("open", "")
    options.locator("summary").click()
    tables = ada.locator("#oq-part-runtimes")
    for _ in range(3):
        tab.asked.clear()
        let_pass(tab, 32)
        assert tab.asked["runtimes"] > 0
        expect(options).not_to_have_attribute("open", "")
    tables.locator("summary").first.click()
    let_pass(tab, 32)
    expect(tables.locator("details[open]")).to_have_count(1)
    run = make_run()
    ada.goto(f"{AT}/run/")
    let_pass(tab, 2)
    search = ada.get_by_label("Search")
    search.fill("queue:mail status")
    search.press("ArrowLeft")
    Run.objects.filter(pk=run).update(queue="other")
    tab.asked.clear()
    let_pass(tab, 16)
    expect(search).to_be_focused()
    expect(search).to_have_value("queue:mail status")
    assert search.evaluate("box => box.selectionStart") == len("queue:mail statu")
    assert not tab.asked
    search.fill("")
    let_pass(tab, 6)
    assert tab.asked["rows"] > 0
    expect(search).to_be_focused()


def test_a_hidden_tab_is_silent_for_half_a_minute_and_asks_once_when_it_is_seen(ada: Page):
    go(ada, "queue/")
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url))
    see = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    ada.evaluate(see, True)
    ada.clock.run_for(30_000)
    assert asked == []
    with ada.expect_response(lambda answer: "_part=queues" in answer.url):
        ada.evaluate(see, False)
    ada.clock.run_for(2_000)
    assert len(asked) == 1


def press_until(page: Page, key: str, wanted: Locator) -> None:
    """Press a key until this has the focus."""
    for _ in range(80):
        page.keyboard.press(key)
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached with {key}")


def test_by_keys_alone_runs_are_filtered_opened_retried_confirmed_and_left_again(ada: Page):
    failed = make_run(status="failed", at=clock() - timedelta(minutes=1))
    make_run()
    ada.goto(f"{AT}/run/")
    ada.keyboard.press("/")
    ada.keyboard.type("status:failed")
    ada.keyboard.press("Enter")
    expect(ada.locator("[data-row]")).to_have_count(1)
    ada.keyboard.press("j")
    ada.keyboard.press("Enter")
    expect(ada).to_have_url(re.compile(f"/run/{failed}/"))
    press_until(ada, "Tab", ada.get_by_role("button", name="Retry"))
    ada.keyboard.press("Enter")
    dialog = ada.get_by_role("dialog", name="Retry this run?")
    expect(dialog).to_be_visible()
    press_until(ada, "Tab", dialog.get_by_role("button", name="Retry", exact=True))
    ada.keyboard.press("Enter")
    expect(ada.locator(".oq-standing")).to_contain_text("Queued")
    ada.keyboard.press("u")
    expect(ada).to_have_url(re.compile("/openqueue/run/$"))


@pytest.mark.parametrize(("system", "chosen"), [("light", "dark"), ("dark", "light")])
def test_the_admins_theme_is_followed_from_the_first_frame_on(ada: Page, system: Any, chosen: str):
    grounds = {"light": LIGHT, "dark": DARK}
    ada.emulate_media(color_scheme=system)
    ada.add_init_script(GROUNDS)
    ada.goto(f"{AT}/queue/")

    def ours() -> str:
        badge = ada.locator("#oq .oq-badge").first
        return str(badge.evaluate("one => getComputedStyle(one).backgroundColor"))

    first, turns = ours(), 0
    while ada.evaluate("document.documentElement.dataset.theme") != chosen:
        ada.locator("button.theme-toggle").first.click()
        turns += 1
        assert turns < 3
    other = ours()
    assert first != other
    ada.reload()
    ada.wait_for_load_state("networkidle")
    assert ada.evaluate("[...grounds]") == [grounds[chosen]]
    assert ours() == other
    while ada.evaluate("document.documentElement.dataset.theme") != "auto":
        ada.locator("button.theme-toggle").first.click()
    assert ours() == first
    ada.emulate_media(color_scheme="dark" if system == "light" else "light")
    assert ours() == other


@pytest.mark.postgresql
def test_a_search_that_the_database_does_not_answer_within_two_seconds_says_so(ada: Page):
    make_run()
    ada.goto(f"{AT}/run/")
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            other.set_autocommit(False)
            cursor.execute("LOCK TABLE openqueue_run IN ACCESS EXCLUSIVE MODE")
        answer = ada.goto(f"{AT}/run/?q=tag:nightly")
        assert answer is not None
        assert answer.status == 200
        expect(ada.get_by_text("Stopped after 2 s. Narrow the period or add a queue.")).to_be_visible()
        expect(ada.get_by_label("Search")).to_have_value("tag:nightly")
    finally:
        other.rollback()
        other.close()
