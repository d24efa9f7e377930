"""The include on a server without the extra."""

from __future__ import annotations

import importlib
import sys

import pytest
from django.test import Client
from django.urls import clear_url_caches

from openqueue.api import urls


@pytest.fixture
def _without_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    importlib.reload(urls)
    for name in ("tests.urls",):
        importlib.reload(sys.modules[name])
    clear_url_caches()
    yield
    monkeypatch.undo()
    importlib.reload(urls)
    importlib.reload(sys.modules["tests.urls"])
    clear_url_caches()


@pytest.mark.usefixtures("_without_extra")
@pytest.mark.parametrize("path", ["health", "runs", "nothing"])
def test_every_route_says_that_the_api_is_not_installed(path: str):
    for method in ("get", "post"):
        answer = getattr(Client(enforce_csrf_checks=True), method)(f"/openqueue/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (501, "not_installed")
        assert answer["Content-Type"] == "application/problem+json"
