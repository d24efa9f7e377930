"""[A11] What stands under a name that says secret is shown to nobody, though nobody declared it."""

from __future__ import annotations

from typing import Any

import pytest

from openqueue import secrets
from openqueue.conf import MASK_NAMES
from openqueue.control import repeats, runs, schedules
from openqueue.control.search import page
from openqueue.models import Run, Schedule
from tests.api.conftest import ADA, _no_counts_of_others, api  # noqa: F401  (fixtures)
from tests.control.builders import make_run

CANARY = "canary-7f3b"
MASKED = secrets.MASK


@pytest.fixture
def post(declare: Any) -> Any:
    @declare
    def post(order: dict[str, Any], headers: list[dict[str, str]], password: str = "") -> None: ...

    return post


HELD = {
    "order": {"id": 7, "card": {"apiKey": CANARY, "page": 1}},
    "headers": [{"Authorization": CANARY, "Accept": "json"}, {"X-Api-Key": CANARY}],
    "password": CANARY,
}
SHOWN = {
    "order": {"id": 7, "card": {"apiKey": MASKED, "page": 1}},
    "headers": [{"Authorization": MASKED, "Accept": "json"}, {"X-Api-Key": MASKED}],
    "password": MASKED,
}


@pytest.mark.parametrize(
    ("name", "says"),
    [("password", True), ("old_password", True), ("userPassword", True), ("X-API-KEY", True), ("apikey", True),
     ("token", True), ("tokens", False), ("tokenizer", False), ("compass", False), ("passenger", False), ("", False)],
)  # fmt: skip
def test_words_of_names_say_it_however_the_name_is_written(name: str, says: bool):
    assert secrets.says_secret(name, names=MASK_NAMES) is says


@pytest.mark.django_db
def test_neither_api_nor_command_nor_page_shows_it(api: Any, post: Any, admin_client: Any):  # noqa: F811
    run = make_run(task=post, payload=HELD, meta={"token": CANARY, "tenant": "a"})
    detail = runs.show(run)
    assert (detail.payload, detail.meta) == (SHOWN, {"token": MASKED, "tenant": "a"})
    said = (
        api("admin").get(f"runs/{run}").content
        + admin_client.get(f"/admin/openqueue/run/{run}/change/").content
    )
    assert CANARY.encode() not in said
    assert Run.objects.get().payload == HELD  # the body gets it


@pytest.mark.django_db
def test_it_is_not_searched_either(post: Any):
    run = make_run(task=post, payload=HELD)
    for text in (f"args.password:{CANARY}", f"args.order.card.apiKey:{CANARY}"):
        found = page(text, sees_payloads=True)
        assert ["masked" in problem.message for problem in found.problems] == [True], text
        assert [one.id for one in found.runs] == [run]
    assert [one.id for one in page("args.order.id:7", sees_payloads=True).runs] == [run]


@pytest.mark.django_db
def test_a_mask_that_is_left_in_an_edited_payload_keeps_what_it_hid(post: Any):
    run = make_run(task=post, status="failed", payload=HELD)
    edited = SHOWN | {"order": {"id": 8, "card": {"apiKey": MASKED}}, "password": "new"}
    repeated = repeats.repeat(run, payload=edited, actor=ADA)
    assert Run.objects.get(pk=repeated).payload == {
        "order": {"id": 8, "card": {"apiKey": CANARY}}, "headers": HELD["headers"], "password": "new",
    }  # fmt: skip


@pytest.mark.django_db
def test_a_schedules_payload_is_masked_and_an_edit_keeps_what_the_masks_hid(post: Any):
    row = post.schedules.create(every=60, payload=HELD).row
    facts = schedules.read(row.pk)
    assert facts.payload == SHOWN
    schedules.edit(row.pk, {"payload": SHOWN | {"order": {"id": 9, "card": {"apiKey": MASKED}}}}, actor=ADA)
    assert Schedule.objects.get().payload == HELD | {"order": {"id": 9, "card": {"apiKey": CANARY}}}


@pytest.mark.django_db
def test_a_declared_secret_of_a_schedule_outlives_an_edit_that_saw_its_mask(declare: Any):
    @declare(secret=["pin"])
    def pay(pin: str, amount: int) -> None: ...

    row = pay.schedules.create(every=60, payload={"pin": "4711", "amount": 1}).row
    schedules.edit(row.pk, {"payload": {"pin": MASKED, "amount": 2}}, actor=ADA)
    kept = secrets.unseal(Schedule.objects.get(pk=row.pk).payload, fields=["pin"])
    assert kept == {"pin": "4711", "amount": 2}


@pytest.mark.django_db
def test_a_project_says_which_names_or_none(settings: Any, post: Any):
    run = make_run(task=post, payload=HELD)
    settings.OPENQUEUE = {"MASK_NAMES": ["id"]}
    assert runs.show(run).payload == HELD | {"order": HELD["order"] | {"id": MASKED}}
    settings.OPENQUEUE = {"MASK_NAMES": []}
    assert runs.show(run).payload == HELD
