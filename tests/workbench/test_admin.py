from __future__ import annotations

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from openqueue.models import AuditLog, DeadLetter, Outbox, Run, RunEvent, Sweep
from openqueue.store import store
from openqueue.types import LogLine
from openqueue_workbench import look_only
from tests.control.builders import NOW, clock, log_in, make_run, make_worker, pause

pytestmark = pytest.mark.django_db
NAMES = [
    "run",
    "runevent",
    "runlog",
    "outbox",
    "claim",
    "worker",
    "queuestate",
    "deadletter",
    "sweep",
    "auditlog",
]


def a_row_of_everything(number: int = 0) -> None:
    make_run()
    running = make_run(status="running", worker=make_worker())
    store().note(progress=[], logs=[LogLine(running, 1, 20, "rendering", 0.0)])
    pause(f"queue-{number}")
    DeadLetter.objects.create(
        runtime="default", queue="email", reason="poison", sha256="0" * 64, size=3, head="00", at=NOW
    )
    Sweep.objects.create(name=f"sweep-{number}", last_at=NOW)
    AuditLog.objects.create(actor="ada", act="run.retry", object="run 1", before={"status": "failed"}, at=NOW)


def list_of(name: str) -> str:
    return reverse(f"admin:openqueue_{name}_changelist")


def page_of(name: str) -> str:
    row = apps.get_model("openqueue", name).objects.first()
    return reverse(f"admin:openqueue_{name}_change", args=[row.pk])


def text(answer) -> str:
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_model_can_be_looked_at():
    shown = {model._meta.model_name for model in admin.site._registry if model._meta.app_label == "openqueue"}
    assert (
        shown
        == set(NAMES)
        == {model._meta.model_name for model in apps.get_app_config("openqueue").get_models()}
    )


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
        assert "reschedule" not in text(admin_client.get(list_of("run")))
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


@pytest.mark.parametrize("name", ["run", "runevent", "outbox"])
def test_paging_and_counting_end_after_so_many_rows(
    name, admin_client, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(look_only, "REACH", 5)
    for _ in range(8):
        make_run()
    with django_assert_num_queries(100, exact=False) as asked:
        answer = admin_client.get(list_of(name))
    assert answer.context["cl"].paginator.count == 5
    counts = [query["sql"] for query in asked if "COUNT(" in query["sql"]]
    assert len(counts) == 1
    assert "LIMIT 5" in counts[0]


def test_a_list_leaves_payloads_and_errors_where_they_are(admin_client, django_assert_num_queries):
    make_run(status="failed")
    with django_assert_num_queries(100, exact=False) as asked:
        admin_client.get(list_of("run"))
        admin_client.get(list_of("runevent"))
    assert not [query for query in asked if '"payload"' in query["sql"] or '"data"' in query["sql"]]


def test_a_run_is_shown_with_its_timeline_and_log(admin_client):
    run = make_run(status="failed", at=NOW, seconds=1.5)
    store().note(progress=[], logs=[LogLine(run, 1, 20, "rendering", 0.0)], now=NOW + timedelta(seconds=1))
    page = text(admin_client.get(page_of("run")))
    for shown in (
        "+0.000 s",
        "triggered",
        "started",
        "+1.500 s",
        "no such order",
        "+1.000 s #1 rendering",
        "app.add",
    ):
        assert shown in page


def test_a_run_whose_time_has_come_is_shown_as_queued(admin_client):
    make_run(status="scheduled")
    store().flip_ready(limit=1, now=clock() + timedelta(hours=2))
    assert '<td class="field-shown_status">queued</td>' in text(admin_client.get(list_of("run")))


def test_secret_arguments_are_masked(admin_client):
    make_run(task=log_in, payload={"user": "ada", "password": "hunter22"})
    page = text(admin_client.get(page_of("run")))
    assert "[secret]" in page
    assert "$secret" not in page
    assert "hunter22" not in page


def test_what_tasks_leave_behind_is_never_markup(admin_client):
    evil = "<script>alert(1)</script>"
    run = make_run(status="completed", result={"html": evil}, tags=[evil], meta={"x": evil})
    store().note(progress=[], logs=[LogLine(run, 1, 20, evil, 0.0)])
    RunEvent.objects.update(data={"html": evil}, actor=evil)
    for page in (page_of("run"), page_of("runevent"), list_of("runlog"), list_of("runevent")):
        shown = text(admin_client.get(page))
        assert evil not in shown
        assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("name", ["run", "runevent", "outbox"])
def test_rows_are_found_by_the_beginning_of_a_runs_id(name, admin_client):
    wanted, other = make_run(), make_run()
    page = text(admin_client.get(list_of(name), {"q": str(wanted)[:23]}))
    assert str(wanted) in page
    page = text(admin_client.get(list_of(name), {"q": str(wanted)}))
    assert str(other) not in page
    assert str(wanted) not in text(admin_client.get(list_of(name), {"q": "app.add"}))


def test_one_run_costs_a_fixed_number_of_statements(admin_client, django_assert_num_queries):
    make_run(status="completed")
    page = page_of("run")
    admin_client.get(page)  # Django keeps what it learns of content types
    with django_assert_num_queries(100, exact=False) as few:
        text(admin_client.get(page))
    assert len([query for query in few if "openqueue_" in query["sql"]]) == 3
    store().note(progress=[], logs=[LogLine(Run.objects.get().pk, 1, 20, "line", 0.0)] * 20)
    with django_assert_num_queries(len(few)):
        text(admin_client.get(page))


def test_without_the_permission_to_view_nothing_is_shown(client):
    user = User.objects.create_user("grace", is_staff=True)
    client.force_login(user)
    assert client.get(list_of("run")).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    assert client.get(list_of("run")).status_code == 200
    assert client.get(list_of("outbox")).status_code == 403


def test_a_row_whose_run_is_gone_still_opens(admin_client):
    make_run()
    Run.objects.all()._raw_delete("default")
    assert Outbox.objects.exists()
    text(admin_client.get(page_of("outbox")))
    text(admin_client.get(page_of("runevent")))
