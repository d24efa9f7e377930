"""What a network does to a client: nothing is done twice that must not be, and nothing is asked for ever."""

from __future__ import annotations

import asyncio

import pytest

from openqueue.client import AsyncClient, Client, NoAnswer, RunCancelled, WaitTimeout
from openqueue.models import AuditLog, Run
from tests.client.conftest import RATE

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def quick(monkeypatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr("openqueue.client.talk.FIRST_PAUSE", 0.02)


def test_a_trigger_whose_answer_is_lost_creates_one_run(service, client, quick):
    service.proxy.lose_the_answer_to(b"POST", times=2)
    run = client.trigger("served.add", {"a": 1, "b": 2})
    assert service.proxy.lost == 2
    assert [row.pk for row in Run.objects.all()] == [run.id]


def test_a_cancel_whose_answer_is_lost_is_told_how_the_run_ended(service, client, quick):
    run = client.trigger("served.add", {"a": 1, "b": 2})
    service.proxy.lose_the_answer_to(b"cancellation")
    answer = client.cancel(run)
    assert (answer.outcome, answer.run.status) == ("finished", "cancelled")
    with pytest.raises(RunCancelled):
        client.wait(run)


def test_a_retry_whose_answer_is_lost_is_not_sent_again(service, client, quick):
    run = client.trigger("served.add", {"a": 1, "b": 2})
    client.cancel(run)
    service.proxy.lose_the_answer_to(b"/retry")
    with pytest.raises(NoAnswer, match="may have been done"):
        client.retry(run)
    assert AuditLog.objects.filter(act="run.retry").count() == 1


def test_a_server_that_comes_back_is_found_again(service, client, quick, monkeypatch):
    service.proxy.refuse()
    tries: list[float] = []

    def sleep(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 2:
            service.proxy.pass_on()

    monkeypatch.setattr("openqueue.client.client.time.sleep", sleep)
    assert client.info().service == "openqueue"
    assert len(tries) == 2


def test_a_server_that_is_silent_is_given_up(service, client, quick):
    run = client.trigger("served.add", {"a": 1, "b": 2})
    service.proxy.stall(b"GET")
    with Client(service.url, service.token, timeout=0.1, tries=2) as hasty:
        with pytest.raises(NoAnswer, match="ReadTimeout"):
            hasty.info()
        with pytest.raises(NoAnswer, match="ReadTimeout"):
            hasty.wait(run, timeout=0.2)
    assert service.proxy.stalled == 4


class Told(Exception):
    """In place of a pause."""


def test_a_throttled_client_waits_as_long_as_it_is_told(service, client, monkeypatch):
    def sleep(seconds: float) -> None:
        raise Told(seconds)

    monkeypatch.setattr("openqueue.client.client.time.sleep", sleep)
    with pytest.raises(Told) as told:
        for number in range(2 * RATE + 1):  # the minute may change in between
            client.trigger("served.add", {"a": number, "b": 1})
    assert 0 < told.value.args[0] <= 60


async def _first(service) -> object:
    async with AsyncClient(service.url, service.token) as client:
        run = await client.trigger("served.add", {"a": 1, "b": 2})
        with pytest.raises(WaitTimeout):
            await client.wait(run, timeout=0.1)
        return run.id


def test_the_async_client_goes_through_the_same(service, quick):
    service.proxy.lose_the_answer_to(b"POST", times=1)
    assert asyncio.run(_first(service)) == Run.objects.get().pk
