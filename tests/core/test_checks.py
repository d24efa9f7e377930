"""`manage.py check`: every id has an example, and each says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, connections

from openqueue import TaskDeclarationError, checks, conf, runtimes
from openqueue.runtimes.base import Capabilities
from openqueue.runtimes.memory import MemoryRuntime

pytestmark = pytest.mark.django_db(databases="__all__")  # Django's own ask each MariaDB or MySQL what it is
ROOM = Path(checks.__file__).parent
MEMORY = "openqueue.runtimes.memory.MemoryRuntime"
SETTINGS: dict[str, Any] = {
    "E001": ["not a dictionary"],
    "E002": {"NAMESPCE": "x"},
    "E003": {"LEASE": 10, "HEARTBEAT": 6},
    "E004": {"NAMESPACE": "My App"},
    "E005": {"DATABASE": "nowhere"},
    "E006": {"REDIS": "redis://x", "RUNTIMES": {"default": {"BACKEND": MEMORY}}},
    "E007": {"RUNTIMES": {"default": {}}},
    "E008": {"QUEUES": {"mail": {"runtme": "default"}}},
    "E009": {"QUEUES": {"Mail!": {}}},
    "E010": {"QUEUES": {"mail": {"runtime": "gone"}}},
    "E011": {"RETENTION": {"completed": "for ever"}},
    "E012": {"SECRET_KEYS": "one"},
    "E013": {"LEASE": -1},
    "E014": {"MASK_NAMES": ["Password"]},
    "E016": {"RELEASE": "the newest one"},
    "E017": {"LARGE_PAYLOADS": "nowhere"},
    "E015": {"ALERTS": {"ALLOWED_HOSTS": "10.0.0.1"}},
    "E100": {"API_RATES": {"read": 0}},
    "E020": {"RUNTIMES": {"default": {"BACKEND": "no.such.Runtime"}}},
}


def found() -> dict[str, Any]:
    messages = [message for check, _ in checks.CHECKS for message in check()]
    return {message.id.removeprefix("openqueue."): message for message in messages}


class Plain(MemoryRuntime):
    """Knows no priorities."""

    capabilities = Capabilities()


@pytest.mark.parametrize("number", SETTINGS)
def test_a_mistake_in_the_setting_is_found_and_its_remedy_told(settings, number: str):
    settings.OPENQUEUE = SETTINGS[number]
    messages = found()
    assert set(messages) == {number}
    assert messages[number].hint


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        ({"RUNTIMES": []}, "E007"),
        ({"RUNTIMES": {"a": {"BACKEND": MEMORY, "OPTIONZ": {}}}}, "E002"),
        ({"QUEUES": []}, "E008"),
        ({"QUEUES": {"a": {"concurrency": 0}}}, "E013"),
        ({"MAX_CRASHES": True}, "E013"),
        ({"CHILD_MAX_RSS": "much"}, "E013"),
        ({"CHILD_MAX_RUNS": "512MB"}, "E013"),
        ({"HEARTBEAT": "10"}, "E013"),
        ({"RETENTION": {"deleted": 1}}, "E011"),
        ({"RETENTION": 30}, "E011"),
        ({"RUNTIMES": {"default": {"BACKEND": MEMORY, "OPTIONS": {"colour": 1}}}}, "E020"),
    ],
)
def test_other_ways_to_the_same_mistake(settings, setting: Any, number: str):
    settings.OPENQUEUE = setting
    assert set(found()) == {number}


def test_a_setting_with_a_mistake_cannot_be_used(settings):
    from django.core.exceptions import ImproperlyConfigured

    settings.OPENQUEUE = {"LEASE": -1}
    with pytest.raises(ImproperlyConfigured, match=r"E013"):
        _ = conf.config.lease


def test_no_setting_at_all_is_in_order(settings):
    if hasattr(settings, "OPENQUEUE"):
        del settings.OPENQUEUE
    assert found() == {}
    assert [m for m in run_checks() if m.id.startswith("openqueue.")] == []


def test_a_hint_that_cannot_be_resolved(declare):
    @declare
    def broken(a: "NoSuchType") -> None: ...  # noqa: F821, UP037

    assert set(found()) == {"E030"}
    assert "a" in found()["E030"].msg


def test_two_tasks_of_one_id(declare):
    @declare(id="test.same")
    def one() -> None: ...

    @declare(id="test.same")
    def two() -> None: ...

    assert set(found()) == {"E031"}
    assert "one" in found()["E031"].msg
    assert "two" in found()["E031"].msg


def test_a_secret_without_cryptography(declare, monkeypatch):
    @declare(secret=["password"])
    def sign_in(password: str) -> None: ...

    assert found() == {}
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == "cryptography" else name)
    assert set(found()) == {"E032"}


def test_an_id_that_is_too_long(declare):
    @declare(id="x" * 201)
    def long() -> None: ...

    assert set(found()) == {"E033"}


def test_a_priority_that_the_runtime_does_not_know(declare, settings):
    @declare(priority=1)
    def important() -> None: ...

    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": f"{__name__}.Plain"}}}
    assert "E034" in found()


def test_a_schedule_that_cannot_be_kept(declare, monkeypatch):
    @declare(cron="0 25 * * *")
    def wrong(customer: int) -> None: ...

    assert "0 25 * * *" in found()["E070"].msg
    assert "customer" in found()["E071"].msg
    monkeypatch.setattr(runtimes.get("default"), "capabilities", Capabilities(schedules=False))
    assert "has no schedules" in found()["E072"].msg


def test_an_isolated_task_that_no_child_could_find(declare, monkeypatch):
    @declare(isolation="process")
    def inner() -> None: ...

    assert "inside a function" in found()["E037"].msg
    inner.function.__qualname__ = "inner"
    assert found() == {}
    inner.function.__module__ = "__main__"
    assert "program" in found()["E037"].msg
    inner.function.__module__ = __name__
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    assert "DJANGO_SETTINGS_MODULE" in found()["E037"].msg


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"isolation": "fork"}, "isolation='fork' must be"),
        ({"memory_limit": "512MB"}, 'needs isolation="process"'),
        ({"isolation": "process", "memory_limit": "lots"}, "memory_limit='lots' must be bytes"),
        ({"isolation": "process", "memory_limit": 0}, "memory_limit=0 must be bytes"),
        ({"isolation": "process", "memory_limit": True}, "memory_limit=True must be bytes"),
        ({"isolation": "process", "memory_limit": "1MB"}, 'at least "128MB"'),
    ],
)
def test_an_isolation_that_cannot_be_is_refused_by_name(declare, options: dict[str, Any], said: str):
    with pytest.raises(TaskDeclarationError) as refused:
        declare(**options)(lambda: None)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("given", "size"), [(2**27, 2**27), ("128MB", 2**27), ("1.5 gb", 3 * 2**29), ("131072KiB", 2**27)]
)
def test_a_memory_limit_is_bytes_or_text(declare, given: Any, size: int):
    @declare(isolation="process", memory_limit=given)
    def bounded() -> None: ...

    assert bounded.memory_limit == size


def test_a_database_that_has_no_store(monkeypatch):
    class Connection:
        vendor = "oracle"

    monkeypatch.setattr(checks, "connections", {"default": Connection()})
    assert set(found()) == {"E040"}


@pytest.mark.sqlite
def test_sqlite_without_the_write_lock_is_warned_about(monkeypatch, settings):
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", {"timeout": 20})
    messages = found()
    assert set(messages) == {"W041"}
    assert "IMMEDIATE" in messages["W041"].hint


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("options", "number"), [({"charset": "utf8"}, "E060"), ({"isolation_level": "SERIALIZABLE"}, "W061")]
)
def test_options_that_mariadb_s_connection_should_not_have(monkeypatch, settings, options, number):
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", options)
    assert set(found()) == {number}
    assert next(iter(options)) in found()[number].hint


def of_the_server() -> dict[str, Any]:
    return {m.id.removeprefix("openqueue."): m for m in checks.mysql_server_is_usable(databases=["default"])}


def test_the_server_of_these_tests_is_in_order():
    assert of_the_server() == {}
    call_command("check", databases=["default"], fail_level="WARNING")


@pytest.mark.mariadb
def test_a_server_that_is_too_old_or_takes_too_little_is_told_about(monkeypatch):
    monkeypatch.setitem(vars(connections["default"]), "mysql_version", (10, 5, 12))
    monkeypatch.setattr(checks, "PACKET", 2**40)
    assert set(of_the_server()) == {"E062", "W064"}
    assert "10.11" in of_the_server()["E062"].hint


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["ENGINE = MyISAM", "COLLATE utf8mb4_general_ci"])
def test_a_table_of_the_wrong_kind_is_told_about_and_the_hint_mends_it(change):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE openqueue_sweep {change}")
        try:
            hint = of_the_server()["E063"].hint
        finally:
            cursor.execute("ALTER TABLE openqueue_sweep ENGINE = InnoDB, COLLATE utf8mb4_nopad_bin")
        cursor.execute(hint)
    assert of_the_server() == {}


def test_a_database_of_its_own_needs_the_router(settings):
    settings.OPENQUEUE = {"DATABASE": "other"}
    assert set(found()) == {"E042"}
    settings.DATABASE_ROUTERS = ["openqueue.routers.OpenQueueRouter"]
    assert found() == {}


def test_every_id_in_the_code_has_an_example_here():
    code = "".join((ROOM / name).read_text() for name in ("checks.py", "conf.py"))
    ids = set(re.findall(r"\b([EW]0\d\d)\b", code))
    here = set(re.findall(r"\b([EW]0\d\d)\b", Path(__file__).read_text()))
    assert ids <= here


def test_the_api_without_what_it_needs(monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == "drf_spectacular" else name)
    assert set(found()) == {"E101"}
