from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from openqueue.control import tokens
from openqueue.control.actor import Actor
from tests.crash.stage import WorkerProcess
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.scale.drain import process
from tests.servers.ports import answers, free_port

TASKS = "tests.client.served_tasks"
RATE = 40
"""Requests a minute that write."""


class Service(NamedTuple):
    """A project that serves the API, in a process of its own."""

    url: str
    token: str
    proxy: Proxy
    """What clients reach it through."""
    environment: dict[str, str]


@pytest.fixture
def service(process_environment: Callable[..., dict[str, str]]) -> Iterator[Service]:
    """Django's server, with a proxy before it and a token that opens everything."""
    settings = json.dumps({"LEASE": 6, "HEARTBEAT": 0.2, "API_RATES": {"write": RATE}})
    environment = process_environment(OPENQUEUE_TEST_SETTINGS=settings, OPENQUEUE_TEST_MORE_TASKS=TASKS)
    token = tokens.create("program", scopes=["admin"], actor=Actor(name="ada"))
    port = free_port()
    with process(environment, "runserver", "--noreload", "--skip-checks", str(port)), Proxy(port) as proxy:
        eventually(lambda: answers(port), within=30)
        yield Service(f"http://127.0.0.1:{proxy.port}/openqueue/", token, proxy, environment)


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    """A client of the service."""
    from openqueue.client import Client

    with Client(service.url, service.token) as client:
        yield client


@pytest.fixture
def worker(service: Service, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A real worker of the service."""
    worker = WorkerProcess(service.environment, tmp_path / "worker.log")
    yield worker.ready()
    worker.end()
