from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.control.builders import make_run, make_worker, pause

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """The quick suite's servers are not durable, which the doctor rightly says."""
    from openqueue.control.doctor import mysql, postgresql

    for kind in (mysql, postgresql):
        monkeypatch.setattr(kind, "of_server", lambda *_, **__: [])


def test_nothing_found_exits_0(manage):
    answer = manage("openqueue_doctor")
    assert answer.code == 0
    assert answer.out.endswith("Nothing found.\n")
    assert "Looked at settings, overview, database, clocks, work, runtime default." in answer.out


def test_an_error_exits_2_and_says_what_to_do(manage):
    make_run(queue="email")
    answer = manage("openqueue_doctor")
    assert answer.code == 2
    assert (
        "ERROR  no_worker  queue email: 1 due, and no live worker serves the queue.\n  Start one:"
        in answer.out
    )
    assert answer.out.endswith("1 error.\n")


def test_a_warning_exits_1_only_for_who_asks(manage):
    make_worker(tasks=["app.add"])
    make_run(queue="email")
    pause("email")
    assert manage("openqueue_doctor").code == 0
    assert manage("openqueue_doctor", "--fail-on", "warning").code == 1
    assert "WARNING  paused" in manage("openqueue_doctor", "--fail-on", "info").out
    make_run(queue="other")
    assert manage("openqueue_doctor", "--fail-on", "warning").code == 2


def test_the_json_twin_has_these_fields(manage):
    make_run(queue="email")
    answer = manage("openqueue_doctor", "--json")
    assert answer.code == 2
    seen = answer.json
    assert list(seen) == ["at", "examined", "counts", "exit_code", "findings", "facts"]
    assert list(seen["findings"][0]) == ["id", "level", "subject", "message", "remedy"]
    assert seen["counts"] == {"error": 1, "warning": 0, "info": 0}
    assert seen["exit_code"] == 2
    assert {"database", "clocks", "work"} <= set(seen["facts"])


def test_broken_settings_are_findings_and_no_traceback(manage, settings):
    settings.OPENQUEUE = {"COLOUR": "red\x1b[31m"}
    answer = manage("openqueue_doctor")
    assert answer.code == 2
    assert "openqueue.E002" in answer.out
    assert "\x1b" not in answer.out


@pytest.mark.postgresql
def test_a_database_that_is_away_is_a_finding_and_shows_no_password():
    away = {
        "OPENQUEUE_TEST_POSTGRESQL": "postgresql://ada:hunter2@127.0.0.1:1/",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    done = subprocess.run(
        [sys.executable, "-m", "django", "openqueue_doctor", "--json"],
        env=dict(os.environ) | away, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    seen = json.loads(done.stdout)
    assert [one["id"] for one in seen["findings"]] == ["database"]
    assert "hunter2" not in done.stdout + done.stderr
