"""Schemathesis against Django's WSGI application: what it makes up breaks nothing, answers keep to the schema."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import hypothesis
import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from openqueue import chain, enqueue_flow
from openqueue.control import bulk
from openqueue.models import DeadLetter, ErrorGroup
from tests.api.conftest import ADA, Api
from tests.app.tasks import add
from tests.control.builders import clock, make_run, make_worker, pause

pytestmark = [pytest.mark.once, pytest.mark.django_db]
STATUSES = ("queued", "scheduled", "running", "retrying", "completed", "failed", "cancelled", "expired")
EXAMPLES = hypothesis.settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


class Described(NamedTuple):
    schema: Any
    headers: dict[str, str]
    known: dict[str, list[str]]
    """What is there, by the name of the parameter."""


@pytest.fixture
def _one_connection() -> Iterator[None]:
    """The server's handler ends the connections of each request; this test's transaction is on one."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def described(_one_connection: None, api: Any, settings: Any) -> Any:
    settings.OPENQUEUE = {"API_RATES": {"read": None, "write": None, "refused": None}}
    runs = [str(make_run(status=status, queue=name)) for status in STATUSES for name in ("default", "mail")]
    make_worker(queues=["default", "mail"])
    schedules = [str(add.schedules.create(every=60, payload={"a": 1, "b": 2}).row.pk) for _ in range(2)]
    flows = [str(enqueue_flow(chain(add.bind(1, 2), add.bind(3, 4))).id) for _ in range(2)]
    moment = clock()
    group = ErrorGroup.objects.create(
        fingerprint="0" * 32, task_id="app.add", type="E", place="app.py", message="no", first_seen=moment,
        last_seen=moment, last_run=uuid4(),
    )  # fmt: skip
    letter = DeadLetter.objects.create(
        runtime="default", queue="mail", reason="poison", sha256="0" * 64, size=9, head="7b", at=moment
    )
    operation = bulk.ask("cancel", "queue:nowhere", actor=ADA, drives=True)
    pause("mail")
    program: Api = api("admin")
    schema = schemathesis.openapi.from_wsgi(
        "/openqueue/v1/openapi.json", WSGIHandler(), headers=program.headers
    )
    headers = {"Authorization": program.headers["authorization"]}  # spelt as Schemathesis takes it away
    known = {
        "run_id": runs, "queue": ["default", "mail"], "task_id": ["app.add"], "schedule": schedules, "flow_id": flows,
        "group": [str(group.pk)], "letter": [str(letter.pk)], "operation": [str(operation.id)],
    }  # fmt: skip
    return Described(schema, headers, known)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_nothing_that_is_made_up_breaks_the_api(described: Described, mode: GenerationMode) -> None:
    tried = []
    for found in described.schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode), which=st.integers(0, 30))
        @EXAMPLES
        def try_out(case: Any, which: int) -> None:
            for name, values in described.known.items():
                if mode == GenerationMode.POSITIVE and name in case.path_parameters and which < len(values):
                    case.path_parameters[name] = values[which]
            # The schema does not say what a task takes, nor what a queue is called: valid bodies may be refused.
            case.call_and_validate(headers=described.headers, excluded_checks=[positive_data_acceptance])

        with contextlib.suppress(Unsatisfiable):  # nothing of it can be wrong
            try_out()
        tried.append(operation.label)
    assert len(tried) >= 40  # it leaves out the route that the schema came from
