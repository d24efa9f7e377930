"""The rules of a conversation, without a network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

import pytest

from openqueue.client import (
    KeyReused,
    NoAnswer,
    PayloadInvalid,
    Refused,
    StrangeAnswer,
    Throttled,
    Unavailable,
)
from openqueue.client.calls import Calls
from openqueue.client.talk import Answer, Ask, Lost, Patience, Pause, ask

HEAD = {"content-type": "application/json"}
FINE = Answer(200, HEAD, b"{}")


RUNNING = json.dumps(
    dict.fromkeys(("due_at", "started_at", "finished_at", "seconds", "error", "worker_id", "expires_at"))
    | dict.fromkeys(("traceparent", "replay_of", "result", "waits_for"))
    | dict.fromkeys(("task_id", "queue", "runtime", "reason"), "")
    | dict.fromkeys(("priority", "attempt", "max_attempts", "crash_count", "cycle"), 1)
    | dict.fromkeys(("created_at", "scheduled_for"), "2027-01-01T00:00:00Z")
    | {"id": str(uuid4()), "status": "running", "tags": [], "payload": {}, "meta": {}, "options": {}}
    | {"cancel_requested": False, "data_hidden": False}
).encode()


def problem(status: int, code: str, **headers: str) -> Answer:
    body = {"type": f"urn:openqueue:problem:{code}", "status": status, "code": code, "detail": "It says why."}
    return Answer(status, {"content-type": "application/problem+json"} | headers, json.dumps(body).encode())


def held(talk: Any, *said: Answer | Lost) -> tuple[list[Any], Any]:
    """Hold a conversation with these answers; return what it wanted and what came of it."""
    wanted, left, came = [], list(said), None
    try:
        while True:
            wanted.append(talk.send(came))
            came = left.pop(0) if isinstance(wanted[-1], Ask) else None
    except StopIteration as end:
        return wanted, end.value


def pauses(wanted: list[Any]) -> list[float]:
    return [one.seconds for one in wanted if isinstance(one, Pause)]


def test_pauses_grow_and_have_an_end():
    wanted, answer = held(ask(Ask(path="info"), Patience()), *[Lost("reset", sent=True)] * 4, FINE)
    assert answer is FINE
    for pause, most in zip(pauses(wanted), (0.5, 1, 2, 4), strict=True):
        assert most / 2 <= pause <= most


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_in_seconds_and_as_a_moment(status: int):
    in_a_while = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    said = [problem(status, "x", **{"retry-after": "7"}), problem(status, "x", **{"retry-after": in_a_while})]
    wanted, _ = held(ask(Ask(path="info"), Patience()), *said, FINE)
    first, second = pauses(wanted)
    assert (first, 17 < second <= 20) == (7, True)


def test_a_retry_after_beyond_all_patience_is_told_at_once():
    with pytest.raises(Throttled) as refused:
        held(ask(Ask(path="info"), Patience(seconds=60)), problem(429, "throttled", **{"retry-after": "61"}))
    assert refused.value.retry_after == 61


@pytest.mark.parametrize(
    ("came", "kind"), [(Lost("reset", sent=True), NoAnswer), (problem(503, "x"), Unavailable)]
)
def test_what_must_not_be_repeated_is_sent_once_where_it_may_have_been_done(came, kind):
    with pytest.raises(kind):
        held(ask(Ask(method="POST", path="x", repeatable=False), Patience()), came)
    for harmless in (Lost("refused", sent=False), problem(429, "throttled")):
        assert (
            held(ask(Ask(method="POST", path="x", repeatable=False), Patience()), harmless, FINE)[1] is FINE
        )


def test_refusals_are_told_apart_by_code_and_new_ones_by_status():
    with pytest.raises(KeyReused, match="409 idempotency_key_reused: It says why"):
        held(ask(Ask(path="x"), Patience()), problem(409, "idempotency_key_reused"))
    with pytest.raises(Refused) as refused:
        held(ask(Ask(path="x"), Patience()), problem(418, "teapot"))
    assert (refused.value.code, refused.value.status) == ("teapot", 418)


@pytest.mark.parametrize(
    "came",
    [
        Answer(200, HEAD, b"<html>hello"),
        Answer(404, {"content-type": "text/html"}, b"<html>no such page"),
        Answer(302, {"location": "https://elsewhere.example/"}, b""),
    ],
)
def test_what_is_not_the_api_is_said_so(came: Answer):
    with pytest.raises(StrangeAnswer, match="address of its include"):
        held(Calls(patience=Patience()).read("info", dict), came)


def test_a_payload_without_a_json_form_is_refused_before_anything_is_sent():
    calls = Calls(patience=Patience())
    for payload, path in (({"a": {"b": [float("nan")]}}, "payload.a.b[0]"), ({"a": object()}, "payload.a")):
        with pytest.raises(PayloadInvalid) as refused:
            calls.trigger("x", payload, {}, key=None).send(None)
        assert refused.value.errors[0].path == path


def test_each_trigger_has_a_key_of_its_own_and_keeps_it():
    wanted, _ = held(
        Calls(patience=Patience()).trigger("x", {}, {"delay": timedelta(minutes=1)}, key=None),
        Lost("reset", sent=True),
        Answer(
            201, HEAD, json.dumps({"id": str(uuid4()), "task_id": "x", "queue": "q", "status": "s"}).encode()
        ),
    )
    first, _, second = wanted
    assert first == second
    assert json.loads(first.body)["options"] == {"delay": 60.0}
    other = Calls(patience=Patience()).trigger("x", {}, {}, key=None).send(None)
    assert other.headers["Idempotency-Key"] != first.headers["Idempotency-Key"]


def test_a_wait_asks_with_the_tag_and_ever_more_seldom_within_its_time():
    moment = [0.0]
    calls = Calls(patience=Patience(), clock=lambda: moment[0])
    looks: list[Ask] = []
    talk = calls.wait(uuid4(), 10)
    came: Any = None
    with pytest.raises(TimeoutError):
        while True:
            wanted = talk.send(came)
            if isinstance(wanted, Pause):
                moment[0] += wanted.seconds
                came = None
            else:
                looks.append(wanted)
                tagged = HEAD | {"etag": 'W/"1"'}
                came = Answer(304, {}, b"") if len(looks) > 1 else Answer(200, tagged, RUNNING)
    assert moment[0] == pytest.approx(10)
    assert {look.headers.get("If-None-Match") for look in looks[1:]} == {'W/"1"'}
    assert 8 < len(looks) < 15
