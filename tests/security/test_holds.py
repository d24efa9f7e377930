"""What an attacker tries at the doors, and finds shut. Names in brackets are rows of the security table."""

from __future__ import annotations

import ast
import logging
import re
import time
from argparse import ArgumentParser
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class

from openqueue import cron, registry
from openqueue.control import tokens
from openqueue.control.actor import Actor
from openqueue.control.search.grammar import parse
from openqueue.models import ApiToken, AuditLog, Run
from openqueue.telemetry.logs import TextFormatter
from tests.api.conftest import Api
from tests.api.test_permissions import NEEDS
from tests.control.builders import make_run
from tests.house import tree

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
HOSTILE_PARAMETERS = [
    "ordering=id;--",
    "sort=-created_at",
    "payload__x=1) OR (1=1",
    "_connector=OR 1=1",
    "owner__password__startswith=p",
    "queue__regex=.*",
    "status__in=failed",
    "a%00b=1",
    "queue=default%00",
    "queue=default' OR '1'='1",
    "status=failed'--",
    "limit=1e9",
    "limit=1000000000",
    "limit=-1",
    "offset=5",
    "format=html",
    "since=0001-01-01T00:00:00Z",
    "queue=a&queue=b",
    "cursor=" + "A" * 400,
    "search=" + "x" * 20_000,
]
"""Each is refused: nothing of a query reaches a query set by its name."""
HOSTILE_SEARCHES = [
    "queue:default' OR '1'='1",
    'args.order"."id:1',
    "args.a')) OR 1=1 --:1",
    "tag:%",
    "tag:_",
    "error:'; DROP TABLE openqueue_run; --",
    "task:shop.*",
    "id:00000000-0000-0000-0000-000000000000' --",
    "attempt:1;SELECT",
    "owner__password__startswith:p",
    "-" * 500,
    '"' * 300,
    "(" * 300,
    "args." + "a." * 100 + "b:1",
]


@pytest.mark.parametrize("query", HOSTILE_PARAMETERS)
def test_a_parameter_that_is_none_of_ours_has_no_effect(api, query: str):
    """[A9, A20, A21, A22]"""
    answer = api("read").get(f"runs?{query.replace(' ', '%20')}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), query


@pytest.mark.parametrize("search", HOSTILE_SEARCHES)
def test_a_search_is_words_and_values_and_no_sql(api, search: str):
    """[A20]"""
    make_run(queue="default")
    begun = time.monotonic()
    answer = api("read", queues=["other"]).get(f"runs?search={quote(search)}")
    assert answer.status_code in {200, 400}, answer.content
    assert answer.json().get("runs", []) == [], "it shows a run of a queue that the token does not see"
    assert time.monotonic() - begun < 2
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    "text",
    ["*" * 50_000, "1," * 25_000 + "1", "*/" + "1" * 50_000, " " * 50_000, "1-" * 25_000, "A" * 50_000],
)
def test_text_that_is_long_is_read_in_time_that_is_short(text: str):
    """[A24]"""
    begun = time.monotonic()
    with pytest.raises(ValueError):  # noqa: PT011  # which one is its own tests' matter
        cron.Cron.read(text)
    list(parse(text))
    registry.index().get(text)
    assert time.monotonic() - begun < 1


def test_looking_changes_nothing(api):
    """[A5]"""
    run = make_run(status="failed")
    program = api("admin")
    program.get("info")  # its use is written down once a minute

    def everything() -> list[Any]:
        return [list(model.objects.values()) for model in apps.get_app_config("openqueue").get_models()]

    before = everything()
    named = defaultdict(lambda: 1, run_id=run, queue="default", task_id="app.add", flow_id=uuid4())
    answers = [program.get(path.format_map(named)).status_code for method, path in NEEDS if method == "get"]
    assert set(answers) <= {200, 404}, "a flow, a schedule, a group that is not there"
    assert answers.count(200) > 12
    assert everything() == before


def test_every_token_that_is_no_good_gets_the_same_answer(api):
    """[A47]"""
    live = tokens.create("live", scopes=["read"], actor=ADA)
    revoked = tokens.create("revoked", scopes=["read"], actor=ADA)
    expired = tokens.create("expired", scopes=["read"], lifetime=timedelta(days=1), actor=ADA)
    tokens.revoke(["revoked"], actor=ADA)
    expiry = ApiToken.objects.filter(name="expired")
    expiry.update(expires_at=expiry.get().created_at - timedelta(days=2))
    mark, prefix, secret = live.split("_", 2)
    bad = [
        revoked,
        expired,
        f"{mark}_{prefix}_{'A' * 43}",
        f"{mark}_{'0' * 12}_{secret}",
        "x",
        live[:-1],
        live + "A",
    ]
    answers = [Api(token).get("info") for token in bad]
    assert {(answer.status_code, answer.content, str(answer.headers)) for answer in answers} == {
        (401, answers[0].content, str(answers[0].headers))
    }
    assert Api(live).get("info").status_code == 200


PATHS = (
    "runs/../../etc/passwd",
    "runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "tasks/../x",
    "tasks/%2fetc%2fpasswd",
    "queues/..%2f..%2fetc",
    "runs/file:%2f%2f%2fetc",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_place_of_an_id_leads_nowhere(api, path: str):
    """[A46]"""
    assert api("admin").get(path).status_code == 404


def test_browsers_get_no_pages(api):
    """[A43]"""
    answer = api("admin").get("runs", headers={"accept": "text/html"})
    assert (answer.status_code, answer["Content-Type"]) == (406, "application/problem+json")


def test_a_queue_is_not_cleared_by_mistake(api):
    """[A40]"""
    make_run()
    program = api("control")
    for body in ({}, {"confirm": ""}, {"confirm": "Default"}, {"confirm": True}):
        assert program.post("queues/default/clearing", body).status_code == 400
    assert Run.objects.get().status == "queued"


def test_ids_of_others_are_nowhere_however_they_are_reached(api):
    """[A15]"""
    mine, other = make_run(queue="mine"), make_run(queue="other")
    tenant = api("admin", queues=["mine"])
    for part in ("", "/events", "/logs", "/attempts"):
        theirs, none = tenant.get(f"runs/{other}{part}"), tenant.get(f"runs/{uuid4()}{part}")
        assert theirs.status_code == none.status_code == 404
        assert re.sub(r"[0-9a-f-]{36}", "", theirs.json()["detail"]) == re.sub(
            r"[0-9a-f-]{36}", "", none.json()["detail"]
        )
    for search in (f"id:{other}", "queue:other", "queue:other,mine", "-queue:mine", "task:*"):
        shown = tenant.get(f"runs?search={quote(search)}").json().get("runs", [])
        assert {run["id"] for run in shown} <= {str(mine)}, search
    assert tenant.get("runs?queue=other").json()["runs"] == []


def test_each_act_is_one_line_of_the_record_and_refused_ones_change_nothing(api):
    """[A34]"""
    run = make_run()
    assert api("read").post(f"runs/{run}/cancellation", {}).status_code == 403
    lines = AuditLog.objects.exclude(act="token.create").order_by("pk").values_list("act", "reason", "actor")
    ((act, reason, actor),) = lines
    assert (act, actor) == ("refused", "token:program-1")
    assert reason == "token:program-1 has no right to cancel."
    assert Run.objects.get().status == "queued"
    program = api("control")
    program.post("queues/default/pause", {"reason": "why"})
    program.post("queues/default/resumption")
    program.post(f"runs/{run}/cancellation", {"reason": "wrong order"})
    acts = list(lines.exclude(act="refused"))
    assert [act for act, _, _ in acts] == ["queue.pause", "queue.resume", "run.cancel"]
    assert {actor for _, _, actor in acts} == {"token:program-2"}
    assert acts[2][1] == "wrong order"


def test_no_code_of_ours_changes_or_deletes_the_record():
    """[A34]"""
    for path, source in sources():
        found = re.findall(
            r"AuditLog\.objects[^\n]*\.(?:update|delete)\(|DELETE FROM openqueue_auditlog", source
        )
        assert not found, path


def test_a_log_line_is_one_line_whatever_it_is_made_of():
    """[A31]"""
    record = logging.makeLogRecord(
        {"msg": "run\n2026 ERROR fake \x1b[31m", "levelname": "INFO", "task_id": "a\r\nb"}
    )
    line = TextFormatter().format(record)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_data_is_never_code():
    """[A25]"""
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "jsonpickle"}
    for path, source in sources():
        for node in ast.walk(ast.parse(source)):
            names = []
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not forbidden & {name.partition(".")[0] for name in names}, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path


def test_no_command_takes_a_secret_as_an_argument():
    """[A45]"""
    for command in (name for name, app in get_commands().items() if app == "openqueue"):
        parser = load_command_class("openqueue", command).create_parser("manage.py", command)
        options = {
            option for one in parsers(parser) for action in one._actions for option in action.option_strings
        }
        options -= (
            {"--key"} if command == "openqueue_schedules" else set()
        )  # how the key of a schedule begins
        assert not {option for option in options if re.search(r"pass|secret|token|key$", option)}, command


def parsers(parser: ArgumentParser) -> list[ArgumentParser]:
    below = [
        sub
        for action in parser._actions
        if isinstance(action.choices, dict)
        for sub in action.choices.values()
    ]
    return [parser, *(one for sub in below for one in parsers(sub))]


def sources() -> list[tuple[Path, str]]:
    return [
        (path, path.read_text())
        for package in ("openqueue", "openqueue_workbench")
        for path in (tree.ROOT / package).rglob("*.py")
    ]
