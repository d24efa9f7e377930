from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from openqueue.models import Run, Schedule
from openqueue.processes.sweeps.schedules import Schedules
from openqueue.testing import QueuedRuns
from shop import digests, tasks
from shop.models import Customer, Order

pytestmark = [pytest.mark.django_db, pytest.mark.urls("config.urls")]
NIGHT = datetime(2024, 3, 5, 1, 30, tzinfo=UTC)
"""Half past two in Berlin; past, so that its run is due."""


@pytest.fixture
def ada() -> Customer:
    return Customer.objects.create(name="Ada", email="ada@shop.example")


def place(customer: Customer, *, at: datetime, status: str = "placed") -> Order:
    return Order.objects.create(customer=customer, card="card_ok", total=5, placed_at=at, status=status)


def test_the_sales_of_the_day_before_are_reported_each_night(ada: Customer):
    place(ada, at=NIGHT - timedelta(hours=3), status="paid")
    place(ada, at=NIGHT - timedelta(hours=4))
    place(ada, at=NIGHT - timedelta(hours=1))
    Schedules().step(NIGHT - timedelta(days=1))
    schedule = tasks.report_sales.schedules.get("")
    assert schedule.next_tick == NIGHT
    assert Schedules().step(NIGHT) >= 1
    with QueuedRuns() as runs:
        runs.run_all()
    run = Run.objects.get(task_id="shop.report_sales")
    assert run.result == {"day": "2024-03-04", "placed": 2, "paid": 1}


def test_each_customer_has_a_digest_at_an_hour_of_their_own(ada: Customer, mails):
    first = digests.subscribe(ada)
    again = digests.subscribe(ada, hour=18, zone="Asia/Tokyo")
    assert (again.created, again.row) == (False, first.row)
    assert (again.cron, again.timezone) == ("0 18 * * MON", "Asia/Tokyo")
    place(ada, at=again.next_at)
    run = again.trigger_now()
    with QueuedRuns() as runs:
        runs.run_all()
    assert run.refresh().result == {"orders": 1}
    (mail,) = mails()
    assert mail["To"] == "ada@shop.example"
    assert digests.unsubscribe(ada)
    assert not digests.unsubscribe(ada)
    assert not Schedule.objects.filter(task_id="shop.send_digest").exists()
