"""A secret goes all the way, through trigger, failure, retry and answer, and is found nowhere it must not be."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from openqueue import runtimes
from openqueue.core import post_commit
from openqueue.models import ApiToken, Run
from openqueue.telemetry.logs import JSONFormatter, TextFormatter
from tests.eventually import eventually
from tests.security.brokers import dump

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]
PASSWORD, VAULT = f"canary-pass-{uuid4().hex}", f"canary-vault-{uuid4().hex}"
DATABASE = f"canary-db-{uuid4().hex}"
COMMANDS = [
    ("openqueue_runs", "list", "--json"),
    ("openqueue_runs", "list"),
    ("openqueue_status",),
    ("openqueue_status", "--json"),
    ("openqueue_doctor",),
    ("openqueue_doctor", "--json"),
    ("openqueue_queues", "list", "--json"),
    ("openqueue_tokens", "list", "--json"),
    ("check", "--deploy", "--database", "default"),
]
PATHS = ("runs", "tasks", "queues", "workers", "overview", "info", "openapi.json")
PARTS = ("", "/events", "/logs", "/attempts")


@pytest.fixture(params=["database", "redis", "rabbitmq", "kafka"])
def server(request: pytest.FixtureRequest, quick: Any) -> Iterator[Any]:
    """Each broker, reached with a password; None where the database carries."""
    name = request.param
    made = None if name == "database" else request.getfixturevalue(f"{name}_server")
    told: dict[str, Any] = {"NAMESPACE": f"openqueue-{uuid4().hex[:6]}"}
    if name == "redis":
        with made.client as client:
            client.execute_command(
                "ACL", "SETUSER", "ada", "on", f">{broker_password(made)}", "~*", "&*", "+@all"
            )
        url = f"redis://ada:{broker_password(made)}@127.0.0.1:{made.port}/0"
        told["REDIS"] = url
    elif name == "rabbitmq":
        told = {"RABBITMQ": made.url}  # its user has no rights beyond the usual names
    elif name == "kafka":
        kafka = {
            "BACKEND": "openqueue.runtimes.kafka.KafkaRuntime",
            "OPTIONS": made.options | {"partitions": 1},
        }
        told["RUNTIMES"] = {"default": kafka}
    quick.OPENQUEUE = quick.OPENQUEUE | told
    runtimes.get("default").declare(["default"])
    yield made
    runtimes.get("default").close()


def broker_password(server: Any) -> str:
    return getattr(server, "password", "") or "canary-broker-4f1d0b7c9e"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Everything that is traced."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """Everything that anybody logs, as people and as machines read it."""
    stream = io.StringIO()
    handlers = []
    for formatter in (TextFormatter(), JSONFormatter(), logging.Formatter("%(message)s %(args)s")):
        handlers.append(logging.StreamHandler(stream))
        handlers[-1].setFormatter(formatter)
    roots = [logging.getLogger(), logging.getLogger("openqueue"), logging.getLogger("django")]
    levels = [root.level for root in roots]
    for root in roots:
        root.setLevel(logging.DEBUG)
        for handler in handlers:
            root.addHandler(handler)
    for noisy in ("django.db.backends", "kafka", "pika", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.INFO)
    yield stream.getvalue
    for root, level in zip(roots, levels, strict=True):
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
    for noisy in ("django.db.backends", "kafka", "pika", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.NOTSET)


def tables() -> str:
    """Return every row of ours, as the database has it."""
    found: list[Any] = []
    with connection.cursor() as cursor:
        for model in apps.get_app_config("openqueue").get_models():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
            found += cursor.fetchall()
    return repr(found)


@pytest.fixture
def declared(declare: Callable[..., Any]) -> Any:
    @declare(secret=["password", "vault"], max_attempts=2, backoff=0.01)
    def log_in(ctx: Any, user: str, password: str, vault: dict[str, list[str]]) -> dict[str, str]:
        local = f"{password} and {vault['keys'][0]}"
        ctx.logger.info("logging in with %s", password)
        ctx.logger.warning("the vault", extra={"keys": vault})
        with contextlib.suppress(TypeError):
            ctx.logger.error("words that %s do not %s fit", password)
        ctx.progress(10, f"trying {password}")
        print(local)  # noqa: T201  # prints are kept too
        if ctx.attempt == 1:
            try:
                raise ValueError(vault)
            except ValueError as error:
                ctx.logger.exception("refused")
                raise RuntimeError(f"refused {local!r}") from error
        return {"user": user, "echo": password, "keys": vault["keys"][0]}

    return log_in


def waiting(server: Any) -> str:
    """Return what a broker holds once it holds the run; it tells what it has with a delay."""
    if server is None:
        return "nothing"
    told, run = dump(server), Run.objects.get().pk
    return told if str(run) in told or run.hex in told else ""


def test_a_secret_is_found_nowhere(
    server, api, declared, serving, spans, logged, publisher, manage, admin_client, monkeypatch
):
    database = connection.settings_dict["PASSWORD"] or DATABASE
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", database)
    program = api("admin")
    token = program.headers["authorization"].rpartition("_")[2]
    secret = {PASSWORD, VAULT, database, token, broker_password(server)}
    payload = {"user": "ada", "password": PASSWORD, "vault": {"keys": [VAULT]}}
    asked = {"task_id": declared.id, "payload": payload}
    said: dict[str, str] = {}
    for turn in ("first", "again"):
        created = program.post("runs", asked, headers={"Idempotency-Key": "canary-key"})
        said[f"trigger {turn}"] = created.content.decode()
    wrong = asked | {"payload": payload | {"surplus": 1}}
    said["refusal"] = program.post("runs", wrong).content.decode()
    post_commit.publisher.flush()
    said["broker, waiting"] = eventually(lambda: waiting(server), within=30)
    with serving():
        eventually(lambda: Run.objects.get().status in {"completed", "failed"}, within=30)
    run = Run.objects.get()
    assert (run.status, run.attempt) == ("completed", 2)
    for path in (*PATHS, *(f"runs/{run.pk}{part}" for part in PARTS)):
        answer = program.get(path)
        assert answer.status_code == 200, path
        said[path] = answer.content.decode() + str(answer.headers)
    for words in (
        *COMMANDS,
        ("openqueue_runs", "show", run.pk),
        ("openqueue_runs", "show", run.pk, "--json"),
    ):
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(printed):
            answer = manage(*words)
        said[" ".join(map(str, words))] = answer.out + answer.error + printed.getvalue()
    for page in ("run", "runevent", "runlog", "auditlog", "worker"):
        said[f"admin {page}"] = admin_client.get(f"/admin/openqueue/{page}/").content.decode()
    said["admin of the run"] = admin_client.get(f"/admin/openqueue/run/{run.pk}/change/").content.decode()
    said["tables"] = tables()
    said["spans"] = json.dumps([json.loads(span.to_json()) for span in spans.get_finished_spans()])
    said["logs"] = logged()
    said["broker, afterwards"] = dump(server)
    # The net is where the fish is: the run left a trace of what was masked in each of these.
    for place in (f"runs/{run.pk}", f"runs/{run.pk}/logs", f"runs/{run.pk}/events", "tables"):
        assert "[secret]" in said[place], place
    assert "log_in" in said["spans"]
    assert ApiToken.objects.get().prefix in said["tables"]
    found = {(place, canary[:12]) for place, text in said.items() for canary in secret if canary in text}
    assert found == set()
