"""Acts on runs, on many runs, and on dead letters over HTTP."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from openqueue.control import bulk
from openqueue.models import AuditLog, DeadLetter, Run
from tests.api.conftest import ADA
from tests.control.builders import NOW, clock, make_run

pytestmark = pytest.mark.django_db


def dead(**options):
    return make_run(status="failed", at=clock() - timedelta(minutes=1), **options)


def letter(queue: str = "mail") -> int:
    return DeadLetter.objects.create(
        runtime="default", queue=queue, reason="poison", sha256="0" * 64, size=900, head="7b22", at=NOW
    ).pk


def test_a_run_is_promoted_and_answers_as_it_is_now(api):
    run, program = make_run(status="scheduled"), api("control")
    answer = program.post(f"runs/{run}/promotion", {"reason": "now"})
    assert (answer.status_code, answer.json()["outcome"], answer.json()["run"]["status"]) == (
        200,
        "promoted",
        "queued",
    )
    again = program.post(f"runs/{run}/promotion")
    assert (again.status_code, again.json()["code"], again.json()["run"]["status"]) == (
        409,
        "already_due",
        "queued",
    )
    assert AuditLog.objects.get(act="run.promote").actor == "token:program-1"


def test_the_three_refusals_of_a_priority_are_told_apart(api, settings):
    settings.OPENQUEUE = {
        "RUNTIMES": {
            "default": {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"},
            "plain": {"BACKEND": "tests.store.plain.PlainRuntime"},
        },
        "QUEUES": {"plain": {"runtime": "plain"}},
    }
    waiting, running, plain = make_run(), make_run(status="running"), make_run(queue="plain")
    program, body = api("control"), {"priority": 7}
    assert program.post(f"runs/{waiting}/priority", body).json()["run"]["priority"] == 7
    assert api("read").post(f"runs/{waiting}/priority", body).status_code == 403
    refused = program.post(f"runs/{running}/priority", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "running")
    refused = program.post(f"runs/{plain}/priority", body)
    assert (refused.status_code, refused.json()["code"]) == (501, "unsupported_capability")
    assert program.post(f"runs/{waiting}/priority", {"priority": 101}).status_code == 400


def test_a_run_is_replayed_by_those_who_may_trigger_and_see_payloads(api):
    run, program = dead(), api("trigger", "read")
    answer = program.post(f"runs/{run}/replay", {"payload": {"a": 5, "b": 6}})
    assert answer.status_code == 201
    assert Run.objects.get(pk=answer.json()["run"]["id"]).replay_of == run
    refused = program.post(f"runs/{run}/replay", {"payload": {"a": 5}})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "b")
    assert api("trigger").post(f"runs/{run}/replay", {"payload": None}).status_code == 403
    assert (
        api("trigger:task:shop.other", "read").post(f"runs/{run}/replay", {"payload": None}).status_code
        == 403
    )


def test_a_run_is_discarded(api):
    run, program = dead(), api("control")
    assert program.post(f"runs/{run}/discard").json()["outcome"] == "discarded"
    assert program.post(f"runs/{run}/discard").status_code == 404


def test_all_that_a_search_finds_are_acted_upon(api):
    for _ in range(3):
        dead()
    program, body = api("read", "control"), {"act": "retry", "search": "status:failed"}
    assert program.post("bulk/preview", body).json()["number"] == 3
    answer = program.post("bulk", {**body, "reason": "mended"})
    done = answer.json()
    assert (answer.status_code, done["acted"], done["state"]) == (201, 3, "done")
    assert answer.headers["Location"].endswith(f"/bulk/{done['id']}")
    assert program.get(f"bulk/{done['id']}").json() == done
    assert [one["id"] for one in program.get("bulk").json()["operations"]] == [done["id"]]
    assert AuditLog.objects.get(act="bulk.retry").reason == "mended"


def test_what_is_wrong_with_a_wish_is_named_and_who_may_not_is_refused(api):
    program = api("read", "control")
    refused = program.post("bulk", {"act": "cancel", "search": "quee:mail"})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "quee")
    refused = program.post("bulk", {"act": "prioritise", "search": "status:queued"})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "priority")
    assert api("read").post("bulk", {"act": "cancel", "search": "status:queued"}).status_code == 403


def test_an_operation_is_stopped_and_nothing_is_left_to_resume(api):
    make_run(status="scheduled")
    asked = bulk.ask("cancel", "status:scheduled", actor=ADA, drives=True)
    program = api("read", "control")
    assert program.post(f"bulk/{asked.id}/stop", {"reason": "enough"}).json()["state"] == "stopped"
    for act, code in (("stop", "finished"), ("resumption", "nothing_to_resume")):
        refused = program.post(f"bulk/{asked.id}/{act}")
        assert (refused.status_code, refused.json()["code"]) == (409, code)
    missing = program.get(f"bulk/{uuid4()}")
    assert (missing.status_code, missing.json()["code"]) == (404, "operation_not_found")
    assert api("read", queues=["mail"]).get(f"bulk/{asked.id}").status_code == 404


def test_dead_letters_are_counted_listed_and_discarded(api):
    dead(queue="mail")
    one, foreign = letter(), letter("secret")
    program = api("read", "control", queues=["mail"])
    assert {(g["kind"], g["queue"]) for g in program.get("dead-letters").json()["groups"]} == {
        ("run", "mail"),
        ("message", "mail"),
    }
    assert [m["id"] for m in program.get("dead-letters/messages").json()["messages"]] == [one]
    assert program.post(f"dead-letters/messages/{foreign}/discard").status_code == 404
    assert program.post(f"dead-letters/messages/{one}/discard", {"reason": "old"}).json() == {"discarded": 1}
    again = program.post(f"dead-letters/messages/{one}/discard")
    assert (again.status_code, again.json()["code"]) == (409, "discarded")
    (kept,) = program.get("dead-letters/messages?discarded=true").json()["messages"]
    assert (kept["discarded_by"], kept["discard_reason"]) == ("token:program-1", "old")
