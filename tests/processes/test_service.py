"""What a process that serves runs before it begins, and what it does not import for it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import Error, register
from django.core.checks.registry import registry
from django.core.management import load_command_class
from django.core.management.base import SystemCheckError

SERVICES = ("openqueue_worker", "openqueue_scheduler")
VIEWS = ("tests.urls", "rest_framework", "drf_spectacular", "httpx")


@pytest.mark.parametrize("name", SERVICES)
def test_it_imports_neither_urls_nor_views_nor_what_they_stand_on(name: str):
    source = f"""
import sys
import django
from django.core.management import load_command_class
django.setup()
command = load_command_class("openqueue", "{name}")
command.check(**command.get_check_kwargs({{}}))
print(*(module for module in {VIEWS!r} if module in sys.modules))
"""
    told = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


@pytest.fixture
def checks() -> Any:
    before = set(registry.registered_checks)
    yield
    registry.registered_checks = before


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("tag", ["models", "openqueue", "some_app"])
@pytest.mark.usefixtures("checks")
def test_it_does_not_begin_with_a_mistake_that_a_check_finds(name: str, tag: str):
    register(wrong, tag)
    with pytest.raises(SystemCheckError, match="all wrong"):
        begin(name)


@pytest.mark.parametrize("tag", ["urls", "database"])
@pytest.mark.usefixtures("checks")
def test_it_runs_no_check_of_urls_nor_of_databases_that_nobody_named(tag: str):
    register(wrong, tag)
    begin("openqueue_worker")


def wrong(**_: Any) -> list[Error]:
    return [Error("all wrong")]


def begin(name: str) -> None:
    command: Any = load_command_class("openqueue", name)
    command.check(**command.get_check_kwargs({}))
