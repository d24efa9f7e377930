"""The pages of schedules, as Django's test client reads them; tests/browser has the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from openqueue import runtimes, secrets
from openqueue.control import schedules
from openqueue.control.actor import Actor
from openqueue.models import AuditLog, Run, Schedule, Sweep
from openqueue.processes.sweeps.schedules import Schedules
from openqueue_workbench import wording
from tests.app.tasks import add
from tests.control.builders import clock
from tests.control.builders import log_in as login_task
from tests.schedules.builders import MINUTE, NINE, make
from tests.workbench.people import EVIL, is_harmless, log_in, text

pytestmark = pytest.mark.django_db
ALL = reverse("admin:openqueue_schedule_changelist")
PAYLOAD = {"a": 1, "b": 2}


def a_schedule(key: str = "digest", **rule: Any) -> Schedule:
    return make(add, key=key, payload=PAYLOAD, **rule)


def ticked(row: Schedule, times: int = 3) -> None:
    sweep = Schedules()
    sweep.is_synchronised = True
    for number in range(1, times + 1):
        sweep.step(NINE + 10 * number * MINUTE)


def page_of(row: Schedule, end: str = "") -> str:
    return reverse("admin:openqueue_schedule_change", args=[row.pk]) + end


def act(client: Any, row: Schedule, name: str, at: str = ALL, **fields: str) -> Any:
    return client.post(at, {"act": name, "on": str(row.pk), **fields})


def test_a_schedule_is_listed_with_its_words_its_runs_and_its_source(admin_client):
    row = a_schedule(cron="*/10 * * * *", timezone="Asia/Kolkata")
    ticked(row)
    page = text(admin_client.get(ALL))
    for shown in (
        "digest",
        "app.add",
        "*/10 * * * *",
        "every 10 minutes",
        "Asia/Kolkata",
        "database",
        "Active",
    ):
        assert shown in page
    for run in Run.objects.all():
        assert reverse("admin:openqueue_run_changelist") not in page or str(run.pk) in page
    assert page.count("oq-bar oq-c-") == 3


def test_a_late_one_says_since_when_and_when_a_scheduler_was_last_seen(admin_client):
    row = a_schedule()
    Schedule.objects.filter(pk=row.pk).update(next_at=clock() - timedelta(seconds=40))
    assert "Due 40 s ago, not yet fired: no scheduler was ever seen." in text(admin_client.get(ALL))
    seen = clock() - timedelta(seconds=50)
    Sweep.objects.create(name="reap", last_at=seen)
    page = text(admin_client.get(ALL))
    assert "not yet fired: scheduler last seen " in page  # and after midnight the day comes first
    assert f"{wording.clock(seen, seconds=True)}." in page


def test_a_runtime_that_has_no_schedules_is_named_at_the_foot(admin_client, monkeypatch):
    assert "no schedules" not in text(admin_client.get(ALL))
    capabilities = replace(runtimes.get("default").capabilities, schedules=False)
    monkeypatch.setattr(runtimes.get("default"), "capabilities", capabilities)
    page = text(admin_client.get(ALL))
    assert page.count("Runtime default: no schedules.") == 1
    assert f"{reverse('admin:openqueue_health_changelist')}#oq-part-runtimes" in page


def test_the_list_is_narrowed_and_paged(admin_client):
    rows = [a_schedule(f"digest:{number:02}") for number in range(52)]
    schedules.pause([rows[3].pk], actor=Actor(name="ada"))
    page = text(admin_client.get(ALL))
    assert "digest:24" in page
    assert "digest:25" not in page
    assert "digest:26" in text(admin_client.get(ALL, {"after": rows[24].pk}))
    page = text(admin_client.get(ALL, {"status": "paused"}))
    assert "digest:03" in page
    assert "digest:04" not in page
    page = text(admin_client.get(ALL, {"key": "digest:1"}))
    assert "digest:11" in page
    assert "digest:21" not in page
    assert "No schedule is like that." in text(admin_client.get(ALL, {"task": "no.such"}))
    assert "digest:00" in text(admin_client.get(ALL, {"after": "x"}))


def test_run_now_asks_and_leaves_the_next_time_unchanged(admin_client):
    row = a_schedule()
    assert "Runs once now; the schedule is unchanged." in text(act(admin_client, row, "run_now"))
    assert not Run.objects.exists()
    answer = act(admin_client, row, "run_now", confirmed="1")
    assert (answer.status_code, answer.url) == (302, ALL)
    assert Run.objects.get().schedule_id == row.pk
    assert Schedule.objects.get(pk=row.pk).next_at == row.next_at


def test_a_pause_shows_in_the_same_answer(admin_client):
    row = a_schedule()
    answer = admin_client.post(
        ALL,
        {"act": "pause", "on": row.pk, "confirmed": "1", "reason": "holidays"},
        headers={"HX-Request": "true"},
    )
    page = text(answer)
    assert "digest is paused" in page
    assert "by admin" in page
    assert ">Resume<" in page
    assert AuditLog.objects.get(act="schedule.pause").reason == "holidays"
    page = text(admin_client.post(ALL, {"act": "resume", "on": row.pk}, headers={"HX-Request": "true"}))
    assert "digest goes on." in page
    assert "by admin" not in page


def test_one_shows_the_next_five_times_its_policies_and_its_moments(admin_client):
    row = a_schedule(cron="30 2 * * *", timezone="Europe/Berlin", overlap="queue", misfire="skip")
    Schedule.objects.filter(pk=row.pk).update(next_tick=NINE.replace(day=27, hour=1, minute=30))
    page = text(admin_client.get(page_of(row)))
    assert "One waits for the run before it to end; more are left out." in page
    assert "What was missed is left out." in page
    assert "The clocks are put on by 1 h before it." in page
    assert "That night has no such time: it is due when it would have been." in page
    assert "It was not due yet." in page


def test_moments_are_shown_with_what_became_of_them(admin_client):
    row = a_schedule()
    ticked(row, times=2)
    page = text(admin_client.get(page_of(row)))
    assert page.count("Made a run") == 2
    older = text(admin_client.get(page_of(row), {"before": (NINE + 20 * MINUTE).isoformat()}))
    assert older.count("Made a run") == 1
    assert text(admin_client.get(page_of(row), {"before": "yesterday"})).count("Made a run") == 2


def test_one_is_edited_and_the_field_that_is_wrong_is_named(admin_client):
    row = a_schedule()
    form = page_of(row, "edit/")
    assert 'value="*/10 * * * *"' in text(admin_client.get(form))
    wrong = {
        "cron": "61 * * * *",
        "timezone": "Europe/Berlin",
        "jitter": "soon",
        "payload": "{}",
        "options": "{}",
    }
    page = text(act(admin_client, row, "save", form, **wrong), status=422)
    assert 'id="oq-fault-jitter"' in page
    assert "is no number of seconds" in page
    page = text(act(admin_client, row, "save", form, **wrong | {"jitter": "5"}), status=422)
    assert 'id="oq-fault-cron"' in page
    assert 'value="61 * * * *"' in page
    right = wrong | {"cron": "0 * * * *", "jitter": "5", "payload": '{"a": 7, "b": "x"}', "overlap": "skip"}
    page = text(act(admin_client, row, "save", form, **right), status=422)
    assert 'id="oq-fault-payload"' in page
    assert "b" in page
    assert Schedule.objects.get(pk=row.pk).cron == "*/10 * * * *"
    right |= {
        "payload": '{"a": 7, "b": 8}',
        "options": '{"priority": 5}',
        "starts_at": "2027-03-01T10:00",
    }  # Europe/Berlin
    answer = act(admin_client, row, "save", form, **right, reason="summer")
    assert (answer.status_code, answer.url) == (302, page_of(row))
    row = Schedule.objects.get(pk=row.pk)
    assert (row.cron, row.timezone, row.overlap, row.payload) == (
        "0 * * * *",
        "Europe/Berlin",
        "skip",
        {"a": 7, "b": 8},
    )
    assert (row.jitter, row.options, row.starts_at) == (timedelta(seconds=5), {"priority": 5}, NINE)
    assert AuditLog.objects.get(act="schedule.edit").reason == "summer"
    act(admin_client, row, "save", form, **right | {"options": "{}", "starts_at": ""})
    row = Schedule.objects.get(pk=row.pk)
    assert (row.starts_at, (row.options or {}).get("priority", 0)) == (None, 0)


def test_a_secret_stays_as_it_is_when_a_schedule_is_edited(admin_client):
    made = login_task.schedules.create(every=60, key="a", payload={"user": "ada", "password": "hunter22"})
    form = page_of(made.row, "edit/")
    assert "[secret]" in text(admin_client.get(form))
    assert "[secret]" in text(admin_client.get(page_of(made.row)))
    fields = {
        "every": "120",
        "timezone": "UTC",
        "payload": '{"user": "bob", "password": "[secret]"}',
        "options": "{}",
    }
    assert act(admin_client, made.row, "save", form, **fields).status_code == 302
    kept = Schedule.objects.get().payload
    assert "hunter22" not in str(kept)
    assert secrets.unseal(kept, fields=["password"]) == {"user": "bob", "password": "hunter22"}


def test_one_is_added_and_one_that_is_there_is_left_alone(admin_client):
    at = ALL + "add/"
    assert "app.add" in text(admin_client.get(at))
    fields = {
        "task_id": add.id,
        "key": "nightly",
        "cron": "0 3 * * *",
        "timezone": "UTC",
        "payload": '{"a":1,"b":2}',
    }
    answer = admin_client.post(at, {"act": "save", **fields})
    row = Schedule.objects.get()
    assert (answer.status_code, answer.url, row.key, row.cron) == (302, page_of(row), "nightly", "0 3 * * *")
    page = text(admin_client.post(at, {"act": "save", **fields, "cron": "0 4 * * *"}), status=422)
    assert 'id="oq-fault-key"' in page
    assert Schedule.objects.get().cron == "0 3 * * *"
    page = text(admin_client.post(at, {"act": "save", **fields, "key": ""}), status=422)
    assert 'id="oq-fault-key"' in page
    page = text(admin_client.post(at, {"act": "save", **fields, "task_id": "no.such"}), status=422)
    assert 'id="oq-fault-task_id"' in page


def test_what_code_declares_is_neither_edited_nor_deleted(admin_client):
    row = a_schedule("")
    Schedule.objects.filter(pk=row.pk).update(declaration={})
    page = text(admin_client.get(page_of(row)))
    assert "Code declares it: change @task(…) there." in page
    assert "pause it instead" in page
    assert ">Edit<" not in text(admin_client.get(ALL))
    text(act(admin_client, row, "save", page_of(row, "edit/"), cron="0 3 * * *"), status=409)
    text(act(admin_client, row, "delete", page_of(row), confirmed="1", typed="add"), status=409)
    assert Schedule.objects.get().cron == "*/10 * * * *"


def test_one_is_deleted_after_its_name_was_typed(admin_client):
    row = a_schedule()
    text(act(admin_client, row, "delete", page_of(row), confirmed="1", typed="other"), status=422)
    answer = act(admin_client, row, "delete", page_of(row), confirmed="1", typed="digest")
    assert (answer.status_code, answer.url) == (302, ALL)
    assert not Schedule.objects.exists()
    text(admin_client.get(page_of(row)), status=404)


@pytest.mark.parametrize("name", ["run_now", "pause", "resume", "delete"])
def test_without_the_right_an_act_is_absent_and_a_hand_made_one_refused(client, name):
    row = a_schedule()
    log_in(client, "view_schedule")
    for at in (ALL, page_of(row)):
        page = text(client.get(at))
        assert f'value="{name}"' not in page
        assert ">Edit<" not in page
        assert "Add a schedule" not in page
        text(act(client, row, name, at, confirmed="1", typed="digest"), status=403)
    assert list(AuditLog.objects.values_list("actor", "act")) == [("vera", "refused")] * 2
    assert Schedule.objects.get().next_at == row.next_at
    assert not Run.objects.exists()


def test_forms_and_parts_are_refused_without_the_right(client):
    row = a_schedule()
    log_in(client, "view_schedule")
    for form in (page_of(row, "edit/"), ALL + "add/"):
        text(client.get(form), status=403)
        text(client.post(form, {"act": "save", "cron": "0 3 * * *"}), status=403)
    log_in(client, "view_run", name="ben")
    for at in (ALL, page_of(row)):
        for part in ("", "?_part=schedules", "?_part=schedule", "?_part=ticks"):
            text(client.get(at + part), status=403)


def test_who_may_not_see_runs_or_payloads_sees_none(client):
    row = a_schedule()
    ticked(row)
    log_in(client, "view_schedule")
    for at in (ALL, page_of(row)):
        page = text(client.get(at))
        assert "oq-strip-" not in page
        assert "openqueue/run/" not in page
        assert "Arguments" not in page


def test_what_people_wrote_is_shown_as_text(admin_client):
    row = make(add, key=EVIL, payload={"a": EVIL, "b": 2}, at=NINE)
    Schedule.objects.filter(pk=row.pk).update(error=EVIL, paused_by=EVIL, paused_at=NINE)
    for at in (ALL, page_of(row), page_of(row, "edit/")):
        assert is_harmless(text(admin_client.get(at)))
    assert is_harmless(text(act(admin_client, row, "pause")))


@pytest.mark.parametrize("number", [1, 30])
def test_pages_cost_at_most_twelve_statements(client, admin_client, number, django_assert_max_num_queries):
    rows = [a_schedule(f"digest:{one}") for one in range(number)]
    ticked(rows[0])
    log_in(
        client,
        "view_schedule",
        "view_run",
        "view_payload",
        "view_auditlog",
        "pause_schedule",
        "change_schedule",
    )
    for who in (client, admin_client):
        for at in (ALL, page_of(rows[0]), page_of(rows[0], "edit/")):
            with django_assert_max_num_queries(12):
                text(who.get(at))
