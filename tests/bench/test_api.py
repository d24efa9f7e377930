"""What the way over HTTP costs a trigger of many, in one process: the application of Django without a network."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler

from openqueue.control import tokens
from openqueue.control.actor import Actor
from openqueue.core import post_commit
from tests.app.tasks import add

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]
RUNS, ROUNDS, TRIES = 100, 40, 5


def posted(application: WSGIHandler, token: str, body: bytes) -> None:
    said: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/openqueue/v1/runs/batch",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    response = application(environ, lambda status, headers: said.append(status))
    list(response)
    assert said == ["201 Created"]
    response.close()


def seconds(act: Callable[[], object]) -> float:
    """Measure one act; the thread that it wakes has ended its work before the next one begins."""
    begun = time.perf_counter()
    act()
    took = time.perf_counter() - begun
    post_commit.publisher.flush()
    return took


@pytest.mark.postgresql
def test_a_post_of_a_hundred_runs_has_six_tenths_of_the_pace_of_trigger_many(settings: Any, publisher: None):
    settings.OPENQUEUE = {"API_RATES": {"write": None}}
    # Otherwise each request connects anew, which is the project's choice and none of the API's.
    from django.db import connection

    connection.settings_dict["CONN_MAX_AGE"] = None
    token = tokens.create("bench", scopes=["trigger"], actor=Actor(name="bench"))
    application = WSGIHandler()
    payloads = [{"a": n, "b": 1} for n in range(RUNS)]
    body = json.dumps({"runs": [{"task_id": add.id, "payload": payload} for payload in payloads]}).encode()
    ratios = []
    for _ in range(TRIES):
        bare, over = [], []
        for _ in range(ROUNDS):  # in turns, so that what else the machine does falls on both
            bare.append(seconds(lambda: add.trigger_many(payloads)))
            over.append(seconds(lambda: posted(application, token, body)))
        ratios.append(median(bare) / median(over))
        print(
            f"trigger_many {median(bare) * 1000:.2f} ms, POST {median(over) * 1000:.2f} ms: {ratios[-1]:.2f}"
        )
        if ratios[-1] >= 0.6:
            return
    raise AssertionError(ratios)
