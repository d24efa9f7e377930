from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from unittest.mock import ANY
from uuid import UUID

import pytest
from django.db import transaction

from openqueue import exponential
from openqueue.testing import QueuedRuns


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass(frozen=True)
class Parcel:
    weight: int
    size: Size


DAY = date(2027, 3, 1)
KEY = UUID("0190a5f2-7c1e-7000-8000-000000000001")


@pytest.fixture
def mail(declare):
    @declare(queue="email", tags=["billing"])
    def mail(user_id: int, subject: str = "Hello", copy_to: str | None = None) -> None:
        """Never runs here."""

    return mail


@pytest.fixture
def ship(declare):
    @declare
    def ship(key: UUID, day: date, parcel: Parcel) -> None:
        """Never runs here."""

    return ship


def refusal(act, *args, **kwargs) -> str:
    with pytest.raises(AssertionError) as refused:
        act(*args, **kwargs)
    return str(refused.value)


def test_arguments_that_are_not_named_may_be_anything(queued_runs, mail):
    mail.trigger(7, copy_to="ada@shop.example")
    queued_runs.assert_triggered(mail)
    queued_runs.assert_triggered(mail, user_id=7)
    queued_runs.assert_triggered(mail, user_id=ANY, copy_to="ada@shop.example")
    refusal(queued_runs.assert_triggered, mail, user_id=8)
    refusal(queued_runs.assert_triggered, mail, user_id=7, copy_to=None)


def test_exact_means_all_arguments_and_a_default_counts_as_given(queued_runs, mail):
    mail.trigger(7, subject="Hello")
    queued_runs.assert_triggered(mail, user_id=7, exact=True)
    queued_runs.assert_triggered(mail, user_id=7, subject="Hello", copy_to=None, exact=True)
    mail.trigger(8, copy_to="ada@shop.example")
    assert "copy_to: was 'ada@shop.example', which was not expected" in refusal(
        queued_runs.assert_triggered, mail, user_id=8, exact=True
    )


def test_values_are_compared_as_the_body_will_see_them(queued_runs, ship):
    parcel = Parcel(weight=3, size=Size.LARGE)
    ship.trigger(key=KEY, day=DAY, parcel=parcel)
    run = queued_runs.assert_triggered(ship, key=KEY, day=DAY, parcel=parcel)
    assert run.arguments == {"key": KEY, "day": DAY, "parcel": parcel}
    refusal(queued_runs.assert_triggered, ship, parcel=Parcel(weight=3, size=Size.SMALL))


def test_count_means_so_many_times(queued_runs, mail):
    mail.trigger_many([{"user_id": 7}, {"user_id": 7}, {"user_id": 8}])
    queued_runs.assert_triggered(mail, count=3)
    queued_runs.assert_triggered(mail, user_id=7, count=2)
    said = refusal(queued_runs.assert_triggered, mail, user_id=7, count=1)
    assert said.startswith("test.mail with user_id=7 was triggered 2 times, not once.")


OPTIONS = {
    "queue": "slow",
    "priority": 5,
    "delay": 90,
    "max_attempts": 7,
    "timeout": timedelta(minutes=2),
    "ttl": 600,
    "tags": ["b", "a"],
    "meta": {"tenant": 3},
    "backoff": exponential(base=2, factor=3, max=60, jitter=0),
}
OTHERS = {
    "queue": "email",
    "priority": 4,
    "delay": 91,
    "max_attempts": 6,
    "timeout": 60,
    "ttl": 601,
    "tags": ["a"],
    "meta": {},
    "backoff": 5,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_is_looked_at(name, queued_runs, mail):
    mail.using(**OPTIONS).trigger(7)
    queued_runs.assert_triggered(mail, options=OPTIONS, user_id=7)
    queued_runs.assert_triggered(mail, options={name: OPTIONS[name]})
    said = refusal(queued_runs.assert_triggered, mail, options={name: OTHERS[name]})
    assert f"{name}: expected " in said


def test_what_the_task_declares_is_an_option_like_any_other(queued_runs, mail):
    mail.trigger(7)
    queued_runs.assert_triggered(
        mail, options={"queue": "email", "tags": ["billing"], "priority": 0, "delay": None, "ttl": None}
    )
    queued_runs.assert_triggered(mail, options={"timeout": None, "runtime": "default"})


def test_a_moment_is_compared_as_a_moment(queued_runs, mail):
    at = datetime.now(UTC) + timedelta(hours=1)
    mail.using(run_at=at).trigger(7)
    run = queued_runs.assert_triggered(mail, options={"run_at": at})
    assert abs(run.run_at - at) < timedelta(milliseconds=1)
    assert 3_590 < run.delay <= 3_600
    refusal(queued_runs.assert_triggered, mail, options={"run_at": at + timedelta(seconds=1)})


def test_an_argument_that_the_task_does_not_have_is_a_mistake_of_the_test(queued_runs, mail):
    mail.trigger(7)
    with pytest.raises(TypeError, match=r"takes no argument user\. It takes: user_id, subject, copy_to"):
        queued_runs.assert_triggered(mail, user=7)
    with pytest.raises(TypeError, match="takes no argument user"):
        queued_runs.assert_not_triggered(mail, user=7)
    with pytest.raises(
        TypeError, match=r"options= does not know colour\. It takes: backoff, concurrency_key, dedupe_key"
    ):
        queued_runs.assert_triggered(mail, options={"colour": 1})
    with pytest.raises(TypeError, match="is no task"):
        queued_runs.assert_triggered("test.mail", user_id=7)
    with pytest.raises(TypeError, match="name the arguments"):
        queued_runs.assert_triggered(mail, 7)
    with pytest.raises(ValueError, match="assert_not_triggered"):
        queued_runs.assert_triggered(mail, count=0)


def test_arguments_named_as_the_asserts_own_words_go_into_a_dictionary(queued_runs, declare):
    @declare
    def buy(count: int, options: dict | None = None) -> None:
        """Never runs here."""

    buy.trigger(count=3, options={"gift": True})
    with pytest.raises(TypeError, match=r"has an argument 'count' of its own.*assert_triggered\(buy, \{"):
        queued_runs.assert_triggered(buy, count=3)
    queued_runs.assert_triggered(buy, {"count": 3, "options": {"gift": True}}, count=1)
    refusal(queued_runs.assert_triggered, buy, {"count": 4}, count=1)


def test_not_triggered_is_about_the_arguments_that_are_named(queued_runs, mail, ship):
    mail.trigger(7)
    queued_runs.assert_not_triggered(ship)
    queued_runs.assert_not_triggered(mail, user_id=8)
    queued_runs.assert_not_triggered(mail, options={"queue": "slow"})
    said = refusal(queued_runs.assert_not_triggered, mail, user_id=7)
    assert said == "test.mail with user_id=7 was triggered once.\nTriggered was:\n" + (
        "  [0] test.mail  user_id=7  (queue email, tags billing)"
    )


def test_nothing_triggered_is_nothing_at_all(queued_runs, mail):
    queued_runs.assert_nothing_triggered()
    mail.trigger(7)
    assert "[0] test.mail  user_id=7" in refusal(queued_runs.assert_nothing_triggered)


def test_a_failure_shows_what_was_triggered_and_what_is_different_about_it(queued_runs, mail, ship):
    mail.using(delay=60, priority=2).trigger(8)
    ship.trigger(key=KEY, day=DAY, parcel=Parcel(weight=3, size=Size.LARGE))
    assert refusal(queued_runs.assert_triggered, mail, user_id=7, options={"queue": "slow"}) == (
        "test.mail with user_id=7 on queue='slow' was not triggered.\n"
        "Triggered were:\n"
        "  [0] test.mail  user_id=8  (queue email, due 60 s after its trigger, priority 2, tags billing)\n"
        "        user_id: expected 7, was 8\n"
        "        queue: expected 'slow', was 'email'\n"
        f"  [1] test.ship  key={KEY!r}, day={DAY!r}, parcel={Parcel(weight=3, size=Size.LARGE)!r}  (queue default)"
    )


def test_a_failure_lists_the_first_twenty(queued_runs, mail, ship):
    mail.trigger_many([{"user_id": n} for n in range(23)])
    said = refusal(queued_runs.assert_triggered, ship)
    assert "[19]" in said
    assert "[20]" not in said
    assert said.endswith("and 3 more")


def test_a_failure_tells_of_callbacks_that_wait_for_a_commit(queued_runs, mail):
    assert refusal(queued_runs.assert_triggered, mail).endswith("Nothing was triggered.")
    transaction.on_commit(lambda: mail.trigger(7))
    said = refusal(queued_runs.assert_triggered, mail)
    assert "1 on_commit callback waits" in said
    assert "captureOnCommitCallbacks(execute=True)" in said


def test_what_only_announces_is_no_callback_to_wait_for(queued_runs, mail, ship):
    mail.trigger(7)
    assert "on_commit" not in refusal(queued_runs.assert_triggered, ship)


def test_callbacks_that_the_test_runs_trigger(queued_runs, mail, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        transaction.on_commit(lambda: mail.trigger(7))
    queued_runs.assert_triggered(mail, user_id=7, count=1)


def test_what_was_triggered_is_a_sequence_oldest_first(queued_runs, mail, ship):
    mail.trigger(7)
    mail.using(delay=60).trigger(8)
    assert len(queued_runs) == 2
    assert [run.arguments["user_id"] for run in queued_runs] == [7, 8]
    first, last = queued_runs[0], queued_runs[-1]
    assert (first.task_id, first.queue, first.tags, first.delay) == ("test.mail", "email", ["billing"], 0)
    assert (last.delay, last.status) == (60, "scheduled")
    assert [run.id for run in queued_runs[1:]] == [last.id]
    assert queued_runs.of(ship) == []
    assert [run.id for run in queued_runs.of(mail)] == [first.id, last.id]
    with pytest.raises(IndexError, match=r"There is no run \[2\]. Triggered were:"):
        queued_runs[2]


def test_what_is_forgotten_is_not_listed_and_still_runs(queued_runs, mail):
    mail.trigger(7)
    queued_runs.forget()
    queued_runs.assert_nothing_triggered()
    mail.trigger(8)
    assert [run.arguments for run in queued_runs] == [{"user_id": 8}]
    assert len(queued_runs.run_all()) == 2


def test_secrets_can_be_asserted_and_are_not_shown(queued_runs, declare, mail):
    @declare(secret=["password"])
    def log_in(user: str, password: str) -> None:
        """Never runs here."""

    log_in.trigger("ada", "hunter2hunter2")
    queued_runs.assert_triggered(log_in, password="hunter2hunter2")
    said = refusal(queued_runs.assert_triggered, log_in, password="hunter3hunter3", user="bob")
    assert "password=[secret]" in said
    assert "password: expected [secret], was [secret]" in said
    assert "hunter" not in said


def test_a_list_costs_one_statement(queued_runs, mail, django_assert_num_queries):
    mail.trigger_many([{"user_id": n} for n in range(30)])
    with django_assert_num_queries(1):
        assert len(queued_runs.all()) == 30
    with django_assert_num_queries(1):
        queued_runs.assert_triggered(mail, user_id=29)


def test_it_can_be_looked_at_without_an_assert(queued_runs):
    assert isinstance(queued_runs, QueuedRuns)
    assert repr(queued_runs) == "<QueuedRuns>"
