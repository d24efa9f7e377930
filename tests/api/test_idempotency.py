"""The same request with the same key is done once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections

from openqueue.control import idempotency
from openqueue.models import IdempotencyKey, Run
from tests.api.conftest import ADA, Api
from tests.control.builders import clock

ADD = {"task_id": "app.add", "payload": {"a": 1, "b": 2}}
pytestmark = pytest.mark.django_db


def sent(program, body=ADD, key="order-1", path="runs"):
    return program.post(path, body, headers={"idempotency-key": key})


def test_the_same_request_again_gets_the_first_answer_and_creates_nothing(api):
    program = api()
    first, again = sent(program), sent(program, dict(reversed(ADD.items())), key='"order-1"')
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again["Location"] == first["Location"]
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert Run.objects.count() == 1


def test_another_request_with_the_same_key_is_refused(api):
    program = api()
    sent(program)
    for answer in (
        sent(program, ADD | {"payload": {"a": 1, "b": 3}}),
        sent(program, {"runs": [ADD]}, path="runs/batch"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert Run.objects.count() == 1


def test_keys_of_two_callers_have_nothing_to_do_with_each_other(api):
    assert sent(api()).content != sent(api()).content
    assert Run.objects.count() == 2


def test_a_request_that_failed_leaves_no_key(api):
    program = api()
    assert sent(program, {"task_id": "app.add", "payload": {}}).status_code == 400
    assert not IdempotencyKey.objects.exists()
    assert sent(program).status_code == 201


def test_a_key_means_nothing_after_a_day_and_old_ones_go_with_it(api):
    program = api()
    sent(program, key="older")
    sent(program)
    IdempotencyKey.objects.update(created_at=clock() - idempotency.KEPT - timedelta(hours=1))
    assert "Idempotency-Replayed" not in sent(program)
    assert (Run.objects.count(), IdempotencyKey.objects.count()) == (3, 1)


@pytest.mark.parametrize("key", ["", " ", '""', "with space", "k" * 201])
def test_a_key_of_another_form_is_refused(api, key: str):
    answer = sent(api(), key=key)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "Idempotency-Key")
    assert not Run.objects.exists()


def test_the_fingerprint_tells_nothing_of_what_was_sent(api):
    sent(api(), {"task_id": "tests.log_in", "payload": {"user": "ada", "password": "canary"}})
    assert "canary" not in str(IdempotencyKey.objects.values())


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_acts_and_the_others_get_its_answer(publisher):
    from openqueue.control import tokens

    token = tokens.create("racer", scopes=["trigger"], actor=ADA)
    start, answers = threading.Barrier(6), []

    def race() -> None:
        start.wait()
        answers.append(sent(Api(token)))
        connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {answer.status_code for answer in answers} == {201}, [a.content for a in answers]
    assert len({answer.content for answer in answers}) == 1
    assert Run.objects.count() == 1
