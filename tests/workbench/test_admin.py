from __future__ import annotations

from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from openqueue import chain, enqueue_flow
from openqueue.models import (
    ApiToken,
    AuditLog,
    BulkOperation,
    DeadLetter,
    DedupeKey,
    ErrorCount,
    ErrorGroup,
    IdempotencyKey,
    Limit,
    Permit,
    QueueDepth,
    Release,
    Rollup,
    RollupMark,
    Run,
    RunEvent,
    RuntimeOffset,
    ScheduleTick,
    Sweep,
    TaskDefinition,
)
from openqueue.store import store
from openqueue.types import LogLine
from openqueue_workbench import look_only
from tests.control.builders import NOW, log_in, make_run, make_worker, pause

pytestmark = pytest.mark.django_db
HAVE_PAGES = {
    "run", "bulkoperation", "auditlog", "deadletter", "errorgroup", "outbox", "flow", "schedule", "worker", "alert",
    "alertchannel", "alertdelivery", "alertrule",
}  # fmt: skip
"""Models whose rows a page of the Workbench shows, so that there is no table."""
NAMES = [
    "runevent",
    "runlog",
    "claim",
    "flownode",
    "flowedge",
    "dedupekey",
    "limit",
    "permit",
    "taskdefinition",
    "queuestate",
    "runtimeoffset",
    "scheduletick",
    "sweep",
    "apitoken",
    "idempotencykey",
    "rollup",
    "rollupmark",
    "errorcount",
    "queuedepth",
    "release",
]


def a_row_of_everything(number: int = 0) -> None:
    make_run()
    running = make_run(status="running", worker=make_worker())
    store().note(progress=[], logs=[LogLine(running, 1, 20, "rendering", 0.0)])
    pause(f"queue-{number}")
    enqueue_flow(chain(log_in.bind("ada", "sesame"), log_in.bind("bob", "sesame")))
    ApiToken.objects.create(
        name=f"shop-{number}",
        prefix=f"{number:012x}",
        digest="0" * 64,
        scopes=["read"],
        created_at=NOW,
        created_by="ada",
    )
    IdempotencyKey.objects.create(
        owner="token 1", key=f"order-{number}", fingerprint="0" * 64, answer={}, created_at=NOW
    )
    Rollup.objects.create(
        period=60, start=NOW, task_id=f"app.task{number}", queue="email", completed=1, waits={}, times={}
    )
    RollupMark.objects.create(name=f"mark {number}", until=NOW, sure_until=NOW)
    Release.objects.create(name=f"2026.{number}", first_seen=NOW)
    QueueDepth.objects.create(period=60, start=NOW, queue=f"queue-{number}", ready=1)
    group = ErrorGroup.objects.create(
        fingerprint=f"{number:032x}", task_id="app.add", type="ValueError", place="app.py", message="no such order",
        first_seen=NOW, last_seen=NOW, last_run=uuid4(),
    )  # fmt: skip
    ErrorCount.objects.create(group=group, period=60, start=NOW, count=1)
    TaskDefinition.objects.create(
        task_id=f"media.task{number}",
        queue="media",
        declaration={},
        created_at=NOW,
        updated_at=NOW,
        updated_by="ada",
    )
    DeadLetter.objects.create(
        runtime="default", queue="email", reason="poison", sha256="0" * 64, size=3, head="00", at=NOW
    )
    RuntimeOffset.objects.create(
        reader=f"replay {number}", source="runs", position="0", until="1", plan={}, tally={}, started_at=NOW,
        moved_at=NOW,
    )  # fmt: skip
    schedule = log_in.schedules.create(
        every=60, key=f"{number}", payload={"user": "ada", "password": "hunter22"}
    ).row
    ScheduleTick.objects.create(schedule=schedule, tick=NOW, outcome="missed", at=NOW)
    DedupeKey.objects.create(pk=uuid4(), scope="all", key=f"key {number}", run_id=uuid4(), until=NOW)
    Limit.objects.create(key=f"limit {number}", used_at=NOW)
    Permit.objects.create(key=f"limit {number}", run_id=uuid4(), attempt=1, given_at=NOW)
    Sweep.objects.create(name=f"sweep-{number}", last_at=NOW)
    AuditLog.objects.create(actor="ada", act="run.retry", object="run 1", before={"status": "failed"}, at=NOW)
    BulkOperation.objects.create(
        act="retry", arguments={}, search="status:failed", actor="ada", asked_at=NOW, moved_at=NOW, skipped={}
    )


def list_of(name: str) -> str:
    return reverse(f"admin:openqueue_{name}_changelist")


def page_of(name: str) -> str:
    row = apps.get_model("openqueue", name).objects.first()
    return reverse(f"admin:openqueue_{name}_change", args=[row.pk])


def text(answer) -> str:
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_model_can_be_looked_at_as_a_table_or_by_its_page():
    tables = {
        model._meta.model_name
        for model, shown in admin.site._registry.items()
        if isinstance(shown, look_only.LookOnly)
    }
    models = {model._meta.model_name for model in apps.get_app_config("openqueue").get_models()}
    assert tables == set(NAMES)
    assert tables | HAVE_PAGES == models
    assert not tables & HAVE_PAGES


def test_tables_stay_out_of_the_sidebar(admin_client):
    page = text(admin_client.get(reverse("admin:index")))
    assert "Queues" in page
    assert "Claims" not in page


@pytest.mark.parametrize("name", NAMES)
def test_lists_and_rows_open(name, admin_client):
    a_row_of_everything()
    assert "result_list" in text(admin_client.get(list_of(name)))
    page = text(admin_client.get(page_of(name)))
    assert "submit-row" in page
    for button in ("_save", "_addanother", "deletelink", "_saveasnew"):
        assert button not in page


@pytest.mark.parametrize("name", NAMES)
def test_nothing_can_be_added_changed_or_deleted(name, admin_client):
    a_row_of_everything()
    page = page_of(name)
    for url in (list_of(name), page):
        assert (
            admin_client.post(url, {"action": "delete_selected", "_selected_action": "1"}).status_code == 405
        )
        assert admin_client.put(url).status_code == 405
    for url in (list_of(name) + "add/", page.replace("/change/", "/delete/")):
        assert admin_client.get(url).status_code in {403, 405}
        assert admin_client.post(url, {"post": "yes"}).status_code in {403, 405}
    assert 'name="action"' not in text(admin_client.get(list_of(name)))


def test_actions_of_the_whole_admin_are_not_offered_here(admin_client):
    make_run()
    admin.site.add_action(lambda *_: None, "reschedule")
    try:
        assert "reschedule" not in text(admin_client.get(list_of("outbox")))
    finally:
        admin.site.disable_action("reschedule")


@pytest.mark.parametrize("name", NAMES)
def test_a_list_asks_as_much_for_many_rows_as_for_few(name, admin_client, django_assert_num_queries):
    a_row_of_everything(0)
    admin_client.get(list_of(name))  # Django keeps what it learns of content types
    with django_assert_num_queries(100, exact=False) as few:
        text(admin_client.get(list_of(name)))
    for number in range(1, 15):
        a_row_of_everything(number)
    with django_assert_num_queries(len(few)):
        assert text(admin_client.get(list_of(name))).count("<tr>") >= 15


@pytest.mark.parametrize("name", ["runevent", "claim"])
def test_paging_and_counting_end_after_so_many_rows(
    name, admin_client, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(look_only, "REACH", 5)
    for _ in range(8):
        make_run(status="running")
    with django_assert_num_queries(100, exact=False) as asked:
        answer = admin_client.get(list_of(name))
    assert answer.context["cl"].paginator.count == 5
    counts = [query["sql"] for query in asked if "COUNT(" in query["sql"]]
    assert len(counts) == 1
    assert "LIMIT 5" in counts[0]


def test_a_list_leaves_what_events_carry_where_it_is(admin_client, django_assert_num_queries):
    make_run(status="failed")
    with django_assert_num_queries(100, exact=False) as asked:
        admin_client.get(list_of("runevent"))
    assert not [query for query in asked if '"data"' in query["sql"]]


def test_what_tasks_leave_behind_is_never_markup(admin_client):
    evil = "<script>alert(1)</script>"
    run = make_run(status="completed", result={"html": evil}, tags=[evil], meta={"x": evil})
    store().note(progress=[], logs=[LogLine(run, 1, 20, evil, 0.0)])
    RunEvent.objects.update(data={"html": evil}, actor=evil)
    for page in (page_of("runevent"), list_of("runlog"), list_of("runevent")):
        shown = text(admin_client.get(page))
        assert evil not in shown
        assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("name", ["runevent", "claim"])
def test_rows_are_found_by_the_beginning_of_a_runs_id(name, admin_client):
    wanted, other = make_run(status="running"), make_run(status="running")
    page = text(admin_client.get(list_of(name), {"q": str(wanted)[:23]}))
    assert str(wanted) in page
    page = text(admin_client.get(list_of(name), {"q": str(wanted)}))
    assert str(other) not in page
    assert str(wanted) not in text(admin_client.get(list_of(name), {"q": "app.add"}))


def test_without_the_permission_to_view_nothing_is_shown(client):
    user = User.objects.create_user("grace", is_staff=True)
    client.force_login(user)
    assert client.get(list_of("claim")).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_claim"))
    assert client.get(list_of("claim")).status_code == 200
    assert client.get(list_of("sweep")).status_code == 403


def test_a_row_whose_run_is_gone_still_opens(admin_client):
    make_run(status="running")
    Run.objects.all()._raw_delete("default")
    text(admin_client.get(page_of("claim")))
    text(admin_client.get(page_of("runevent")))
