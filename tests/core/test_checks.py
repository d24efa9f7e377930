"""`manage.py check`: every id has an example, and each says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from openqueue import checks, conf
from openqueue.runtimes.base import Capabilities
from openqueue.runtimes.memory import MemoryRuntime

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
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
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
