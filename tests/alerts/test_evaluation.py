"""Looking again and again: what opens, stands, cools down and ends; and what that costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from openqueue.alerts import evaluation, kinds
from openqueue.alerts.judging import Fault
from openqueue.alerts.readings import Readings
from openqueue.core.rollups import advance
from openqueue.models import Alert, AlertDelivery, AlertRule, Outbox
from openqueue.processes.sweeps.alerts import Alerts
from tests.alerts.builders import NOW, after, look, make_channel, make_rule
from tests.control.builders import make_run
from tests.control.conftest import statements as statements

pytestmark = pytest.mark.django_db


def wait() -> None:
    make_run(at=NOW)


def work_off() -> None:
    Outbox.objects.all().delete()


def told() -> list[tuple[str, str]]:
    return list(AlertDelivery.objects.order_by("pk").values_list("event", "channel_name"))


def test_an_alert_that_stands_is_told_of_once_however_often_one_looks():
    make_rule(make_channel(), make_channel(name="chat"), kind="backlog_age", threshold=10.0)
    wait()
    assert look(after(10)) == 1
    for seconds in range(11, 60):
        assert look(after(seconds)) == 0
    assert told() == [("opened", "ops"), ("opened", "chat")]
    alert = Alert.objects.get()
    assert (alert.value, alert.began_at, alert.opened_at) == (59.0, after(10), after(10))
    assert "has waited 59 s" in alert.text


def test_what_was_open_survives_restarts_and_ends_when_nobody_saw_it_end():
    make_rule(make_channel(), threshold=10.0)
    wait()
    look(after(10))
    work_off()
    assert look(after(86_400)) == 1
    assert told() == [("opened", "ops"), ("ended", "ops")]
    assert Alert.objects.get().ended_at == after(86_400)


def test_a_condition_must_hold_for_as_long_as_the_rule_says():
    make_rule(make_channel(), threshold=10.0, hold=60)
    wait()
    assert look(after(10)) == 0
    assert Alert.objects.get().opened_at is None
    work_off()
    assert look(after(50)) == 0
    assert not Alert.objects.exists()
    make_run(at=after(60))
    assert look(after(80)) == 0
    assert look(after(139)) == 0
    assert look(after(140)) == 1
    alert = Alert.objects.get()
    assert (alert.began_at, alert.opened_at) == (after(80), after(140))
    assert told() == [("opened", "ops")]


def test_what_comes_and_goes_is_told_of_once_a_cooldown():
    make_rule(make_channel(), threshold=10.0, cooldown=300)
    wait()
    assert look(after(10)) == 1
    work_off()
    assert look(after(20)) == 1
    make_run(at=after(20))
    assert look(after(40)) == 0
    assert look(after(309)) == 0
    assert look(after(310)) == 1
    assert told() == [("opened", "ops"), ("ended", "ops"), ("opened", "ops")]
    assert Alert.objects.order_by("-pk").first().began_at == after(40)


def test_a_cooldown_is_of_one_subject():
    make_rule(make_channel(), threshold=10.0, cooldown=300)
    wait()
    assert look(after(10)) == 1
    make_run(at=NOW, queue="mail")
    assert look(after(11)) == 1


def test_whom_an_alert_concerns_hears_of_it_and_not_a_channel_that_is_paused():
    make_rule(make_channel(), make_channel(name="away", paused_at=NOW), threshold=10.0)
    make_channel(name="other")
    wait()
    look(after(10))
    assert told() == [("opened", "ops")]


def test_who_wants_to_hear_of_no_end_does_not():
    make_rule(make_channel(), threshold=10.0, tells_end=False)
    wait()
    look(after(10))
    work_off()
    assert look(after(20)) == 1
    assert told() == [("opened", "ops")]


def test_a_rule_that_is_paused_is_not_looked_at():
    make_rule(make_channel(), threshold=10.0, paused_at=NOW)
    wait()
    assert evaluation.active() == []
    assert look(after(10)) == 0


def test_what_is_not_known_ends_nothing():
    rule = make_rule(make_channel(), kind="failures")
    found = Readings(at=NOW)
    assert evaluation.write({rule.pk: {"task a": Fault(1.0, "a")}}, found) == 1
    assert look(after(10)) == 0
    assert Alert.objects.get().ended_at is None


def test_an_older_look_that_is_written_later_changes_nothing():
    rule = make_rule(make_channel())
    assert evaluation.write({rule.pk: {}}, Readings(at=after(20))) == 0
    for seconds in (10, 20):  # somebody read before, or at the very same moment, and was slower
        assert evaluation.write({rule.pk: {"queue a": Fault(1.0, "a")}}, Readings(at=after(seconds))) == 0
    assert not Alert.objects.exists()
    assert evaluation.write({rule.pk: {"queue a": Fault(1.0, "a")}}, Readings(at=after(21))) == 1


def test_a_clock_that_was_put_back_does_not_stop_the_rules():
    make_rule(make_channel(), threshold=10.0)
    look(NOW + timedelta(hours=5))
    wait()
    assert look(after(10)) == 1


def test_a_rule_that_was_paused_while_somebody_read_opens_nothing():
    rule = make_rule(make_channel())
    AlertRule.objects.update(paused_at=NOW)
    assert evaluation.write({rule.pk: {"queue a": Fault(1.0, "a")}}, Readings(at=NOW)) == 0


def every_kind(times: int) -> None:
    channel = make_channel(name=f"ops {times}")
    for number in range(times):
        for kind in kinds.KINDS:
            window = kinds.WINDOWS[number % len(kinds.WINDOWS)]
            make_rule(channel, kind=kind, threshold=1.0, window=window)


@pytest.mark.parametrize("times", [1, 30])
def test_a_look_takes_so_many_statements_whatever_the_number_of_rules(statements: Any, times: int):
    for number in range(20):
        make_run(at=NOW, queue=f"q{number}")
        make_run(at=NOW, status="failed", queue=f"q{number}")
    while advance(minutes=60, now=after(120)):
        pass
    every_kind(times)
    with statements() as sent:
        assert look(after(120)) > 40 * times
    # Rules; mark, minutes, errors, due, paused, workers, schedules; locks, standing, cooled, alerts, channels,
    # deliveries, mark: with thousands of rows those that insert go in chunks.
    assert len([one for one in sent if "INSERT" not in one]) <= 15
    assert len(sent) <= 17 or times > 1


def test_without_a_rule_a_look_is_one_statement(statements: Any):
    wait()
    with statements() as sent:
        assert Alerts().step(after(10)) == 0
    assert len(sent) == 1


def test_what_opens_rouses_who_sends():
    make_rule(make_channel(), threshold=10.0)
    wait()
    roused: list[int] = []
    sweep = Alerts(rouse=lambda: roused.append(1))
    sweep.step(after(10))
    sweep.step(after(20))
    assert roused == [1]
