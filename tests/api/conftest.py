from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from openqueue.control import tokens
from openqueue.control.actor import Actor
from tests.control.conftest import manage, publisher  # noqa: F401  (fixtures)

ADA = Actor(name="ada")


class Api:
    """The API as a program with one token sees it; paths are below /openqueue/v1/."""

    def __init__(self, token: str = "") -> None:
        self.client = Client()
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **more: Any) -> Any:
        headers = self.headers | more.pop("headers", {})
        return self.client.get(f"/openqueue/v1/{path}", headers=headers, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        headers = self.headers | more.pop("headers", {})
        if body is None:
            return self.client.generic("POST", f"/openqueue/v1/{path}", headers=headers, **more)
        return self.client.post(
            f"/openqueue/v1/{path}", body, content_type="application/json", headers=headers, **more
        )

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send by any method."""
        return self.client.generic(
            method,
            f"/openqueue/v1/{path}",
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers=self.headers,
        )


@pytest.fixture
def api(db: None) -> Callable[..., Api]:
    """Make a token and return the API as its holder sees it."""
    made: list[str] = []

    def api(*scopes: str, queues: list[str] | None = None) -> Api:
        made.append(f"program-{len(made) + 1}")
        return Api(tokens.create(made[-1], scopes=scopes or ["admin"], queues=queues, actor=ADA))

    return api


@pytest.fixture(autouse=True)
def _no_counts_of_others() -> None:
    caches["default"].clear()
