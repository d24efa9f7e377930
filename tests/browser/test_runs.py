"""The pages of runs in a real browser: rows that stay, polls that end, acts behind questions."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from openqueue.core import transitions
from openqueue.models import AuditLog, Run
from openqueue.store import store
from openqueue.types import LogLine
from tests.control.builders import claim, clock, end, make_run, make_worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SignIn = Callable[[User], None]
RUNS = "/admin/openqueue/run/"
EVIL = '<script>document.title="owned"</script><img src=x oq-get="/admin/" oq-trigger="load">'


@pytest.fixture
def admin(page: Page, sign_in: SignIn) -> Page:
    sign_in(User.objects.create_superuser("ada"))
    page.goto("/admin/openqueue/queue/")
    page.get_by_label("Refresh every").select_option("2")
    return page


def polls(page: Page) -> list[str]:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "_part=" in request.url else None)
    return asked


def rows(page: Page) -> list[str]:
    return page.locator("[data-row]").evaluate_all("rows => rows.map(row => row.id.slice(7))")


def test_rows_stay_where_they_are_and_new_ones_raise_a_bar(admin: Page):
    shown = [str(make_run()) for _ in range(3)][::-1]
    admin.goto(RUNS)
    assert rows(admin) == shown
    new = str(make_run())
    bar = admin.get_by_role("link", name="1 new run")
    expect(bar).to_be_visible()
    transitions.cancel_waiting(
        [next(run for run in Run.objects.values_list("pk", flat=True) if str(run) == shown[1])], actor="ada"
    )
    expect(admin.locator(f"#oq-run-{shown[1]}")).to_contain_text("Cancelled")
    assert rows(admin) == shown
    bar.click()
    expect(admin.locator("[data-row]")).to_have_count(4)
    assert rows(admin)[0] == new


def test_ticked_rows_stay_ticked_and_ask_for_nothing_until_they_are_unticked(admin: Page):
    for _ in range(3):
        make_run()
    admin.goto(RUNS)
    boxes = admin.locator("[data-row] input[type=checkbox]")
    expect(admin.locator(".oq-counted").first).to_be_visible()
    boxes.nth(0).check()
    boxes.nth(2).check()
    expect(admin.locator("#oq-selection")).to_contain_text("2 selected")
    asked = polls(admin)
    make_run()
    admin.wait_for_timeout(5_000)
    assert asked == []
    expect(boxes.nth(0)).to_be_checked()
    boxes.nth(0).uncheck()
    boxes.nth(2).uncheck()
    expect(admin.locator("#oq-selection")).to_be_hidden()
    expect(admin.get_by_role("link", name="1 new run")).to_be_visible()


def test_37_runs_are_retried_at_once_and_the_3_that_cannot_are_told(admin: Page):
    earlier = clock() - timedelta(minutes=1)
    for number in range(37):
        make_run(status="failed" if number < 34 else "queued", at=earlier)
    admin.goto(RUNS)
    admin.get_by_label("Select all on this page").check()
    bar = admin.locator("#oq-selection")
    expect(bar).to_contain_text("37 selected")
    bar.get_by_role("button", name="Retry").click()
    dialog = admin.get_by_role("dialog", name="Retry 37 runs?")
    dialog.get_by_label("Why").fill("the provider is back")
    dialog.get_by_role("button", name="Retry").click()
    expect(admin.locator(".oq-told")).to_have_text("34 retried, 3 skipped: 3 had not ended.")
    expect(dialog).to_be_hidden()
    line = AuditLog.objects.get(act="bulk.retry")
    assert (line.actor, line.reason, line.before["runs"]) == ("ada", "the provider is back", "37")


def test_a_finished_run_asks_for_nothing_and_a_running_one_stops_when_it_ends(admin: Page):

    run = make_run()
    attempt = claim(run, worker=make_worker())
    admin.goto(f"{RUNS}{run}/")
    expect(admin.locator(".oq-standing")).to_contain_text("Running")
    end(attempt, status="completed", at=clock(), result=3)
    expect(admin.locator(".oq-standing")).to_contain_text("Completed")
    expect(admin.locator("[data-every]")).to_have_count(0)
    asked = polls(admin)
    admin.wait_for_timeout(5_000)
    assert asked == []
    admin.reload()
    admin.wait_for_timeout(3_000)
    assert asked == []


def test_without_javascript_a_run_is_found_and_retried_through_the_question(
    browser: Browser, page: Page, sign_in: SignIn, live_server: Any
):
    run = make_run(status="failed", at=clock() - timedelta(minutes=1))
    make_run()
    sign_in(User.objects.create_superuser("ada"))
    plain = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=page.context.storage_state()
    ).new_page()
    plain.goto(RUNS)
    plain.get_by_role("link", name="Failed").click()
    plain.get_by_label("Search").fill("error:ValueError")
    plain.get_by_role("button", name="Find").click()
    expect(plain.locator("[data-row]")).to_have_count(1)
    plain.locator("[data-row] a").first.click()
    expect(plain.get_by_role("heading", name="ValueError")).to_be_visible()
    plain.get_by_role("button", name="Retry").click()
    expect(plain.get_by_role("heading", name="Retry this run?")).to_be_visible()
    plain.get_by_role("button", name="Retry", exact=True).click()
    expect(plain.get_by_text("It is queued again")).to_be_visible()
    expect(plain.locator(".oq-standing")).to_contain_text("Queued")
    assert Run.objects.get(pk=run).status == "queued"
    plain.goto(RUNS)
    plain.locator("[data-row] input[type=checkbox]").first.check()
    plain.get_by_role("button", name="Cancel").click()
    expect(plain.get_by_role("heading", name="Cancel 1 run?")).to_be_visible()
    plain.context.close()


def test_a_search_is_kept_by_its_address_and_keys_lead_through_the_list(admin: Page):
    for _ in range(60):
        make_run(queue="mail")
    make_run()
    admin.goto(RUNS)
    admin.keyboard.press("/")
    expect(admin.get_by_label("Search")).to_be_focused()
    admin.keyboard.type("queue:mail")
    admin.keyboard.press("Enter")
    expect(admin).to_have_url(re.compile("q=queue%3Amail"))
    expect(admin.locator("[data-row]")).to_have_count(50)
    admin.keyboard.press("]")
    expect(admin.locator("[data-row]")).to_have_count(10)
    admin.keyboard.press("[")
    expect(admin.locator("[data-row]")).to_have_count(50)
    admin.keyboard.press("j")
    admin.keyboard.press("x")
    expect(admin.locator("#oq-selection")).to_contain_text("1 selected")


def test_planted_markup_is_shown_and_does_nothing(admin: Page):
    run = make_run(status="failed", tags=[EVIL])
    Run.objects.filter(pk=run).update(
        payload={EVIL: EVIL}, error={"type": EVIL, "message": EVIL, "traceback": EVIL}
    )
    store().note(progress=[], logs=[LogLine(run, 1, 20, EVIL, 0.0)])
    asked = polls(admin)
    for path in ("", f"{run}/", f"{run}/?tab=arguments", f"{run}/?tab=logs", f"{run}/?tab=events"):
        admin.goto(f"{RUNS}{path}")
        admin.wait_for_timeout(300)
        assert "owned" not in admin.title()
        expect(admin.locator("#oq img")).to_have_count(0)
    assert all("_part=" in url for url in asked)


@pytest.mark.parametrize("width", [390, 320])
def test_no_page_goes_sideways_on_a_narrow_screen(width: int, admin: Page):
    run = make_run(status="failed", tags=["a-rather-long-tag"], queue="a-queue-with-a-long-name")
    admin.set_viewport_size({"width": width, "height": 800})
    for path in ("run/", f"run/{run}/", f"run/{run}/?tab=events", "enqueue/?task=app.add", "bulk/"):
        admin.goto(f"/admin/openqueue/{path}")
        assert admin.evaluate("document.documentElement.scrollWidth") <= width, path
