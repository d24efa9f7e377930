"""The pages of errors, dead letters, the outbox, logs, metrics and activity in a real browser."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from openqueue.core.rollups import advance
from openqueue.models import AuditLog, DeadLetter, ErrorGroup, Outbox, Run, RunLog
from tests.control.builders import clock, make_run, make_worker
from tests.workbench.staff import EVIL

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AGO = timedelta(minutes=5)
PAGES = (
    "error/", "error/{group}/", "deadletter/", "deadletter/?kind=message", "deadletter/?kind=alike",
    "deadletter/{letter}/", "outbox/", "log/", "metrics/", "metrics/app.add/", "activity/",
)  # fmt: skip


def fail(kind: str = "shop.Declined", message: str = "card declined", **facts: Any) -> None:
    """Have a run fail so, and counted."""
    run = make_run(status="failed", at=clock() - AGO, **facts)
    Run.objects.filter(pk=run).update(error={"type": kind, "message": message, "traceback": message})
    while advance(minutes=600):
        pass


@pytest.fixture
def signed_in(page: Page, sign_in: Callable[[User], None]) -> Page:
    """The browser of somebody who may do everything."""
    sign_in(User.objects.create_superuser("ada"))
    return page


def test_an_error_is_resolved_in_the_same_answer_and_found_among_the_resolved(signed_in: Page):
    fail()
    signed_in.goto("/admin/openqueue/error/")
    signed_in.get_by_role("button", name="Resolve").click()
    expect(
        signed_in.get_by_role("dialog", name="Resolve shop.Declined?").get_by_label("In release")
    ).to_be_focused()
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_role("status").filter(has_text="Resolved: shop.Declined")).to_be_visible()
    expect(signed_in.get_by_text("No open errors.")).to_be_visible()
    signed_in.get_by_role("link", name="Resolved", exact=True).click()
    expect(signed_in.get_by_role("row", name="shop.Declined")).to_contain_text("by ada")


def test_an_error_is_resolved_in_a_release_and_its_chart_marks_when_that_was_first_seen(signed_in: Page):
    worker = make_worker(release="1.4.2", at=clock() - 2 * AGO)
    fail(worker=worker)
    signed_in.goto(f"/admin/openqueue/error/{ErrorGroup.objects.get().pk}/")
    chart = signed_in.locator("#oq-error-chart")
    expect(chart.locator(".oq-begun")).to_have_count(1)
    expect(chart.locator(".oq-legend")).to_contain_text("1.4.2")
    chart.get_by_text("Show as table").click()
    expect(chart.get_by_role("columnheader", name="New release")).to_be_visible()
    signed_in.get_by_role("button", name="Resolve").click()
    dialog = signed_in.get_by_role("dialog", name="Resolve shop.Declined?")
    expect(dialog.locator("datalist option")).to_have_attribute("value", "1.4.2")
    dialog.get_by_label("In release").fill("1.4.2")
    dialog.get_by_role("button", name="Resolve").click()
    expect(
        signed_in.get_by_role("status").filter(has_text="Resolved in 1.4.2: shop.Declined.")
    ).to_be_visible()
    expect(signed_in.locator(".oq-badge")).to_contain_text("Resolved")
    assert ErrorGroup.objects.get().resolved_in == "1.4.2"


def test_ticked_dead_letters_are_requeued_after_a_question(signed_in: Page):
    for _ in range(12):  # more than there is room for
        fail()
    signed_in.goto("/admin/openqueue/deadletter/")
    bar = signed_in.locator("#oq-selection")
    expect(bar).to_be_hidden()
    rows = signed_in.locator("[data-row]")
    rows.nth(0).get_by_role("checkbox").check()
    rows.nth(2).get_by_role("checkbox").check()
    expect(bar).to_contain_text("2 selected")
    expect(bar).to_be_in_viewport()
    bar.get_by_role("button", name="Requeue selected").click()
    dialog = signed_in.get_by_role("dialog", name="Requeue 2 failed runs?")
    dialog.get_by_label("Why").fill("bank is back")
    dialog.get_by_role("button", name="Requeue selected").click()
    expect(signed_in.get_by_role("status").filter(has_text="2 retried.")).to_be_visible()
    expect(rows).to_have_count(10)
    assert Run.objects.filter(status="queued").count() == 2


def test_ticked_messages_are_discarded_without_javascript(
    browser: Browser, signed_in: Page, live_server: Any
):
    kept, *gone = (
        DeadLetter.objects.create(
            runtime="default",
            queue="mail",
            reason="not an announcement",
            sha256="0" * 64,
            size=9,
            head="7b22",
            at=clock(),
        ).pk
        for _ in range(3)
    )
    plain = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=signed_in.context.storage_state()
    ).new_page()
    plain.goto("/admin/openqueue/deadletter/?kind=message")
    for number in gone:
        plain.get_by_label(f"Select message {number}").check()
    plain.get_by_role("button", name="Discard selected").click()
    expect(plain.get_by_role("heading", name="Discard 2 messages?")).to_be_visible()
    plain.get_by_role("button", name="Discard selected").click()
    expect(plain.get_by_text("2 discarded.")).to_be_visible()
    plain.context.close()
    assert list(DeadLetter.objects.filter(discarded_at=None).values_list("pk", flat=True)) == [kept]


def test_ignoring_asks_for_how_long_and_shows_until_when(signed_in: Page):
    fail()
    signed_in.goto(f"/admin/openqueue/error/{ErrorGroup.objects.get().pk}/")
    signed_in.get_by_role("button", name="Ignore").click()
    dialog = signed_in.get_by_role("dialog", name="Ignore shop.Declined?")
    dialog.get_by_label("For how long").select_option("for 7 days")
    dialog.get_by_role("button", name="Ignore").click()
    expect(signed_in.get_by_text("Ignored for 7 days: shop.Declined.")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Reopen")).to_be_visible()


def test_all_runs_of_an_error_are_retried_after_a_question_that_says_how_many(signed_in: Page):
    for _ in range(3):
        fail()
    signed_in.goto("/admin/openqueue/error/")
    signed_in.get_by_role("button", name="Retry all").click()
    dialog = signed_in.get_by_role("dialog")
    expect(dialog).to_contain_text("Failed runs of this task and class")
    dialog.get_by_role("button", name="Retry all").click()
    expect(signed_in.get_by_role("status").filter(has_text="3 retried.")).to_be_visible()
    assert set(Run.objects.values_list("status", flat=True)) == {"queued"}


def test_a_bar_of_a_chart_leads_to_the_runs_that_it_counts(signed_in: Page):
    fail()
    signed_in.goto(f"/admin/openqueue/error/{ErrorGroup.objects.get().pk}/")
    signed_in.locator("#oq-error-chart a.oq-bar").click()
    expect(signed_in.get_by_text("Ended ")).to_be_visible()
    expect(signed_in.locator("[data-row]")).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_planted_markup_is_text_and_no_page_scrolls_sideways(signed_in: Page, width: int):
    fail(kind=EVIL, message=EVIL * 3)
    run = Run.objects.get().pk
    RunLog.objects.create(run_id=run, attempt=1, level=logging.ERROR, text=EVIL * 9, at=clock() - AGO)
    letter = DeadLetter.objects.create(
        runtime="default", queue="mail", reason=EVIL, sha256="0" * 64, size=9, head="7b22", at=clock(),
        origin={EVIL: EVIL},
    ).pk  # fmt: skip
    make_run()
    Outbox.objects.update(last_error=EVIL)
    AuditLog.objects.create(
        actor=EVIL[:90],
        act="queue.pause",
        object=EVIL,
        reason=EVIL,
        before={EVIL: 1},
        after=[EVIL],
        at=clock(),
    )
    asked: list[str] = []
    signed_in.on("request", lambda request: asked.append(request.url))
    signed_in.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
    signed_in.set_viewport_size({"width": width, "height": 800})
    group = ErrorGroup.objects.get().pk
    for address in PAGES:
        signed_in.goto(f"/admin/openqueue/{address.format(group=group, letter=letter)}")
        signed_in.wait_for_load_state("networkidle")
        wide = signed_in.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{address} is {wide} pixels too wide at {width}"
    assert not [url for url in asked if url.startswith("dialog") or url.endswith(("/x", "/y"))]
