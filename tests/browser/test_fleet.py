"""Schedules, workers, flows and health in a real browser under the strictest policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from openqueue import chain, enqueue_flow
from openqueue.models import Flow, FlowNode, Run, Schedule, Worker
from tests.app.tasks import add
from tests.control.builders import claim, clock, end, make_run, make_worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SignIn = Callable[[User], None]
AT = "/admin/openqueue"


@pytest.fixture
def ada(page: Page, sign_in: SignIn) -> Page:
    """A page of who may do everything."""
    sign_in(User.objects.create_superuser("ada"))
    return page


def polls(page: Page) -> list[str]:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "_part=" in request.url else None)
    return asked


def a_schedule() -> Schedule:
    return add.schedules.create(every=3_600, key="digest", payload={"a": 1, "b": 2}).row


def test_a_flow_is_followed_to_its_end_and_its_page_asks_no_more(ada: Page):
    flow = enqueue_flow(chain(add.bind(a=1, b=2), name="order")).id
    ada.goto(f"{AT}/flow/{flow}/")
    expect(ada.locator("#oq-part-flow")).to_contain_text("so far")
    run = FlowNode.objects.get(flow_id=flow).pk
    end(claim(run), status="completed", at=clock(), result=3)
    assert Flow.objects.get().status == "completed"
    expect(ada.locator("#oq-part-flow .oq-head")).to_contain_text("Completed")
    expect(ada.get_by_role("button", name="Cancel flow")).to_be_disabled()
    asked = polls(ada)
    ada.wait_for_timeout(5_000)
    assert asked == []


def test_a_step_opens_beside_the_graph_and_stays_open_while_the_flow_goes_on(ada: Page):
    flow = enqueue_flow(chain(add.bind(a=1, b=2), add.bind(a=3, b=4), name="order")).id
    ada.goto(f"{AT}/flow/{flow}/")
    ada.get_by_label("Graph of the flow").get_by_role("link").nth(1).click()
    panel = ada.get_by_role("complementary", name="Step")
    expect(panel).to_contain_text("add-2")
    expect(panel).to_contain_text("Waiting")
    end(claim(FlowNode.objects.get(flow_id=flow, name="add").pk), status="completed", at=clock(), result=3)
    expect(panel).to_contain_text("Queued")
    panel.get_by_role("link", name="Close").click()
    expect(panel).to_have_count(0)


def test_run_now_leaves_the_next_time_unchanged(ada: Page):
    row = a_schedule()
    ada.goto(f"{AT}/schedule/")
    line = ada.locator(f"#oq-schedule-{row.pk}")
    expect(line).to_contain_text("No runs yet.")
    line.get_by_role("button", name="Run now").click()
    dialog = ada.get_by_role("dialog", name="Run digest now?")
    expect(dialog).to_contain_text("Runs once now; the schedule is unchanged.")
    dialog.get_by_role("button", name="Run now").click()
    expect(ada.get_by_role("status").filter(has_text="the schedule is unchanged")).to_be_visible()
    expect(line.locator(".oq-strip a")).to_have_count(1)
    assert Run.objects.get().schedule_id == row.pk
    assert Schedule.objects.get().next_at == row.next_at


def test_what_is_wrong_with_a_form_is_said_at_its_field_and_what_was_typed_stays(ada: Page):
    row = a_schedule()
    ada.goto(f"{AT}/schedule/{row.pk}/edit/")
    ada.get_by_label("Or every so many seconds").fill("")
    ada.get_by_label("Cron", exact=True).fill("61 * * * *")
    ada.get_by_label("Arguments, as a JSON object").fill('{"a": 5, "b": 6}')
    ada.get_by_role("button", name="Save").click()
    expect(ada.locator("#oq-fault-cron")).to_be_visible()
    expect(ada.get_by_label("Cron", exact=True)).to_have_value("61 * * * *")
    ada.get_by_label("Cron", exact=True).fill("0 9 * * *")
    ada.get_by_role("button", name="Save").click()
    expect(ada).to_have_url(f"{AT}/schedule/{row.pk}/")
    expect(ada.get_by_text("at 09:00, every day")).to_be_visible()
    assert Schedule.objects.get().payload == {"a": 5, "b": 6}


def test_a_form_works_without_javascript(browser: Browser, ada: Page, live_server: Any):
    plain = browser.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=ada.context.storage_state()
    ).new_page()
    plain.goto(f"{AT}/schedule/add/")
    plain.get_by_label("Task").select_option("app.add")
    plain.get_by_label("Name").fill("nightly")
    plain.get_by_role("button", name="Add").click()
    expect(plain.locator("#oq-fault-cron")).to_be_visible()
    plain.get_by_label("Cron", exact=True).fill("0 3 * * *")
    plain.get_by_label("Arguments, as a JSON object").fill('{"a": 1, "b": 2}')
    plain.get_by_role("button", name="Add").click()
    expect(plain.get_by_text("Schedule nightly is saved.")).to_be_visible()
    assert Schedule.objects.get().cron == "0 3 * * *"
    plain.context.close()


def test_quiet_shows_in_the_same_answer_and_stop_asks_first(ada: Page):
    worker = make_worker()
    make_run(status="running", worker=worker)
    ada.goto(f"{AT}/worker/")
    row = ada.locator(f"#oq-worker-{worker}")
    row.get_by_role("button", name="Quiet").click()
    expect(row).to_contain_text("Quiet")
    expect(row).to_contain_text("by ada")
    expect(row.get_by_role("button", name="Resume")).to_be_visible()
    row.get_by_role("button", name="Stop").click()
    dialog = ada.get_by_role("dialog", name="Stop web-1:4711?")
    expect(dialog).to_contain_text("none for default")
    dialog.get_by_role("button", name="Stop").click()
    expect(row).to_contain_text("Stopping")
    expect(row.get_by_role("button", name="Stop")).to_be_disabled()
    assert Worker.objects.get().command == "stop"


def test_health_is_there_at_once_and_brokers_are_asked_then(ada: Page):
    ada.goto(f"{AT}/health/")
    expect(ada.locator("#oq-part-standing")).to_contain_text("Reaper")
    runtimes = ada.locator("#oq-part-runtimes")
    expect(runtimes).to_contain_text("Reachable")
    expect(runtimes).to_contain_text("Capabilities:")
    expect(ada.get_by_role("link", name="Run events")).to_be_visible()


@pytest.mark.parametrize("width", [390, 320])
def test_no_page_scrolls_sideways_on_a_telephone(ada: Page, width: int):
    row, worker = a_schedule(), make_worker(queues=["a-queue-with-quite-a-long-name-" + "x" * 30])
    make_run(status="running", worker=worker)
    flow = enqueue_flow(chain(add.bind(a=1, b=2), add.bind(a=3, b=4), name="n" * 120)).id
    ada.set_viewport_size({"width": width, "height": 800})
    for page in (
        "schedule/", f"schedule/{row.pk}/", f"schedule/{row.pk}/edit/", "worker/", f"worker/{worker}/", "flow/",
        f"flow/{flow}/?step=add", "health/?_whole=1",
    ):  # fmt: skip
        ada.goto(f"{AT}/{page}")
        inside = ada.evaluate(
            "[document.getElementById('oq').scrollWidth, document.getElementById('oq').clientWidth]"
        )
        assert inside[0] <= inside[1], page
        assert ada.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
