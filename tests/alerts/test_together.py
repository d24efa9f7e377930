"""Several processes that look, and send, at the same moment: one alert, one message."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from openqueue.alerts import evaluation
from openqueue.alerts.pulses import Pulses
from openqueue.alerts.readings import read
from openqueue.models import Alert, AlertDelivery, Outbox
from tests.alerts.builders import NOW, Receiver, after, make_channel, make_rule, send
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 6


def together(act: Callable[[], Any]) -> list[Any]:
    """Do it in many threads, each with a connection of its own, from one moment on."""
    start, answers, faults = threading.Barrier(MANY), [], []

    def run() -> None:
        try:
            start.wait(10)
            answers.append(act())
        except Exception as error:
            faults.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    return answers


def looking(seconds: float) -> list[int]:
    """Look from many threads, all of which have read before the first of them writes."""
    read_all = threading.Barrier(MANY)

    def look() -> int:
        rules = evaluation.active()
        found = read(rules, at=after(seconds), pulses=Pulses())
        judged = {rule.pk: evaluation.judge(rule, found) or {} for rule in rules}
        connections.close_all()  # on SQLite a reader must not stand in the way of the one who writes
        read_all.wait(20)
        return evaluation.write(judged, found)

    return together(look)


def test_who_looks_at_the_same_moment_opens_one_alert_and_ends_it_once(settings: Any):
    settings.OPENQUEUE = {"ALERTS": {"ALLOWED_HOSTS": ["127.0.0.1"]}}
    with Receiver() as receiver:
        make_rule(make_channel(kind="webhook", url=receiver.url), kind="no_worker", threshold=0.0)
        make_rule(kind="backlog_age", threshold=1.0)
        make_run(at=NOW)
        assert sorted(looking(10)) == [0] * (MANY - 1) + [2]
        assert Alert.objects.filter(standing=1).count() == 2
        Outbox.objects.all().delete()
        assert sorted(looking(20)) == [0] * (MANY - 1) + [2]
        assert Alert.objects.filter(standing=None, ended_at=after(20)).count() == 2
        together(lambda: send(after(20)))
        together(lambda: send(after(20)))
    assert [one.json["data"]["event"] for one in receiver.received] == ["opened", "ended"]
    assert set(AlertDelivery.objects.values_list("state", "tries")) == {("sent", 1)}


def test_who_sends_at_the_same_moment_sends_each_message_once(settings: Any):
    settings.OPENQUEUE = {"ALERTS": {"ALLOWED_HOSTS": ["127.0.0.1"]}}
    with Receiver() as receiver:
        channels = [make_channel(name=f"c{n}", kind="webhook", url=receiver.url) for n in range(3)]
        make_rule(*channels, kind="no_worker", threshold=0.0)
        for number in range(4):
            make_run(at=NOW, queue=f"q{number}")
        assert sum(looking(10)) == 4
        together(lambda: send(after(10)))
    assert AlertDelivery.objects.filter(state="sent", tries=1).count() == 12
    assert len({one.headers["webhook-id"] for one in receiver.received}) == len(receiver.received) == 12
