"""The page of the runtimes' health."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from openqueue import runtimes
from openqueue.control import health, premises, sweeps
from openqueue.models import Sweep
from openqueue.processes.sweeps import sweeps as processes
from openqueue.runtimes.base import RuntimeHealth
from openqueue_workbench.pages import health_rows
from tests.control.builders import clock, make_run, make_worker
from tests.workbench.people import EVIL, is_harmless, log_in, text

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:openqueue_health_changelist")
RUNTIMES = PAGE + "?_part=runtimes"
DOWN = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}
MEMORY = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}


@pytest.fixture
def three(settings: Any) -> Any:
    database = {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"}
    settings.OPENQUEUE = {
        "RUNTIMES": {"default": database, "fast": MEMORY, "down": DOWN},
        "QUEUES": {"slow": {"runtime": "down"}},
    }
    yield
    runtimes.close_all()


def test_every_sweep_is_known_by_its_name():
    assert set(health_rows.SWEEPS) == set(processes.NAMES)
    assert {*sweeps.UNWRITTEN, *sweeps.patience()} == set(processes.NAMES)


def test_the_sweeps_of_a_loop_write_down_what_the_page_expects():
    written = {sweep.name for sweep in processes.Sweeps().sweeps if sweep.every >= processes.SHARED}
    assert written == set(sweeps.patience())


def test_every_capability_has_a_name():
    assert set(health_rows.CAPABILITIES) == set(health.WHY_NOT)


def test_brokers_are_asked_after_the_page_is_there(admin_client, three, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(health, "read", lambda: asked.append("all"))
    page = text(admin_client.get(PAGE))
    assert asked == []
    assert 'oq-trigger="load, oq:tick"' in page


def test_a_broker_that_hangs_holds_up_neither_the_page_nor_its_part(admin_client, three, monkeypatch):
    go_on = threading.Event()

    def hangs() -> RuntimeHealth:
        go_on.wait(20)
        return RuntimeHealth(ok=True)

    monkeypatch.setattr(runtimes.get("fast"), "health", hangs)
    monkeypatch.setattr(health, "PATIENCE", 0.2)
    monkeypatch.setattr(health.read, "__kwdefaults__", {"patience": 0.2})
    began = time.monotonic()
    text(admin_client.get(PAGE))
    page = text(admin_client.get(RUNTIMES))
    go_on.set()
    assert time.monotonic() - began < 8
    assert "No answer for 0." in page


def test_each_runtime_says_whether_it_answers_what_it_can_do_and_why_not(admin_client, three):
    make_run(queue="slow")
    page = text(admin_client.get(RUNTIMES))
    assert page.count("Reachable") == 2
    assert page.count("Does not answer") == 1
    assert "Bring the broker back, or mend its OPTIONS." in page
    assert "1 run waits for it" in page
    assert "It forgets messages once they are received." in page
    assert "by the database" in page


def test_the_sweeps_say_when_they_last_ran(admin_client):
    make_worker()
    now = clock()
    for name in sweeps.patience():
        Sweep.objects.create(name=name, last_at=now - timedelta(seconds=7))
    page = text(admin_client.get(PAGE))
    assert page.count("7 s ago") >= 6
    assert "⚠" not in page
    Sweep.objects.filter(name="rollups").update(last_at=now - timedelta(seconds=90))
    page = text(admin_client.get(PAGE))
    assert page.count("⚠") == 1
    Sweep.objects.all().delete()
    page = text(admin_client.get(PAGE))
    assert "nobody sweeps" in page
    assert page.count("⚠") == len(processes.NAMES)


def test_settings_warn_with_their_ids(admin_client, settings):
    settings.SESSION_COOKIE_SECURE = False
    page = text(admin_client.get(PAGE, {"_part": "settings"}))
    assert "openqueue.W105" in page
    assert "check --deploy" in page


def test_a_runtime_that_cannot_be_made_says_why(admin_client, settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": {**MEMORY, "OPTIONS": {"no_such_option": 1}}}}
    text(admin_client.get(PAGE))
    page = text(admin_client.get(RUNTIMES))
    assert "Does not answer" in page
    assert "no_such_option" in page
    assert "openqueue.E020" in text(admin_client.get(PAGE, {"_part": "settings"}))


def test_secrets_of_the_settings_are_masked(admin_client, settings):
    settings.OPENQUEUE = {
        "RUNTIMES": {
            "default": {
                "BACKEND": "openqueue.runtimes.redis.RedisRuntime",
                "OPTIONS": {"url": "redis://app:hunter22@127.0.0.1:1/0", "sentinel_password": "hunter23"},
            }
        }
    }
    page = text(admin_client.get(RUNTIMES))
    runtimes.close_all()
    assert "[secret]" in page
    assert "hunter" not in page
    assert "no: in clear" in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("redis://host/0", "redis://host/0"),
        ("amqp://a:p@ss/w@one,amqp://a:b@two", "amqp://[secret]@two"),
        ("https://host/?api_key=abc&x=1", "https://host/?api_key=[secret]&x=1"),
        ({"sasl_password": "abc", "retries": 3}, {"sasl_password": "[secret]", "retries": 3}),
        ([("host", 6379)], [["host", 6379]]),
        (object(), "<object>"),
        (None, None),
    ],
)
def test_what_is_secret_by_its_name_or_its_form_is_masked(value, shown):
    assert premises.shown(value) == shown


def test_the_plain_tables_are_for_who_may_see_them(client, admin_client):
    assert reverse("admin:openqueue_runevent_changelist") in text(admin_client.get(PAGE))
    log_in(client, "view_worker", "view_claim")
    page = text(client.get(PAGE))
    assert reverse("admin:openqueue_claim_changelist") in page
    assert reverse("admin:openqueue_runevent_changelist") not in page


def test_parts_are_refused_without_the_right(client):
    log_in(client, "view_run")
    for part in ("", "?_part=standing", "?_part=runtimes", "?_part=settings"):
        text(client.get(PAGE + part), status=403)


def test_what_a_broker_says_is_shown_as_text(admin_client, three, monkeypatch):
    monkeypatch.setattr(runtimes.get("fast"), "health", lambda: RuntimeHealth(ok=False, detail=EVIL))
    assert is_harmless(text(admin_client.get(RUNTIMES)))


@pytest.mark.parametrize("number", [1, 30])
def test_the_page_costs_at_most_twelve_statements(
    client, admin_client, number, django_assert_max_num_queries
):
    for _ in range(number):
        make_run(status="running", worker=make_worker())
    log_in(client, "view_worker", "view_outbox")
    for who in (client, admin_client):
        for at in (PAGE, RUNTIMES):
            with django_assert_max_num_queries(12):
                text(who.get(at))
