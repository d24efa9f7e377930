"""What the doctor says of limits that let nobody through."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import doctor
from openqueue.models import Outbox, Permit, QueueState
from openqueue.processes.sweeps.permits import Permits
from tests.control.builders import claim, clock, end, make_run, make_worker, pause

pytestmark = pytest.mark.django_db


def found() -> dict[str, tuple[str, str]]:
    return {
        one.subject: (one.message, one.remedy)
        for one in doctor.examine().findings
        if one.id == "held_permits"
    }


def let_through(*runs, late=timedelta(minutes=6)):
    """Have the sweep give permits, and the runs be due for so long."""
    Permits().step(clock())
    Outbox.objects.filter(pk__in=runs).update(due_at=clock() - late)


@pytest.fixture
def stuck():
    """The holder of the only permit, in a queue that nobody serves, and two that wait for it where a worker is."""
    make_worker(queues=["default"])
    holder, *others = (
        make_run(queue=queue, concurrency_key="stripe") for queue in ("a", "default", "default")
    )
    let_through(holder, *others)
    assert Permit.objects.get().run_id == holder
    return holder


def test_a_permit_of_a_run_in_a_queue_without_a_worker_is_told_with_who_waits_for_it(stuck):
    message, remedy = found()["limit stripe"]
    assert message.startswith("2 due for over 5 min, waiting for a permit.")
    assert message.endswith("do not start: queue a has no worker.")
    assert "Have the queue served again, or cancel" in remedy
    make_worker(queues=["a"])
    assert found() == {}
    pause("a")
    assert "queue a is paused or disabled." in found()["limit stripe"][0]
    QueueState.objects.all().delete()
    assert found() == {}


def test_a_permit_that_is_used_is_what_limits_are_for(stuck):
    claim(stuck)
    assert found() == {}


def test_who_waits_for_a_short_time_is_not_told(stuck):
    Outbox.objects.update(due_at=clock() - timedelta(minutes=4))
    assert found() == {}


def test_a_permit_that_nothing_holds_any_more_is_given_by_the_next_sweep(stuck):
    Outbox.objects.filter(pk=stuck).delete()
    assert found() == {}


def test_one_permit_in_a_queue_that_is_served_is_enough(declare):
    @declare(max_concurrency=2)
    def film():
        """Two at a time."""

    make_worker(queues=["default"])
    runs = [make_run(task=film, payload={}, queue=queue) for queue in ("a", "default", "default")]
    let_through(*runs)
    assert sorted(Permit.objects.values_list("run_id", flat=True)) == sorted(runs[:2])
    assert found() == {}
    pause("default")
    assert "queue a has no worker, queue default is paused" in found()[f"limit task:{film.id}"][0]
    QueueState.objects.update(paused=False)
    claim(runs[1])
    QueueState.objects.update(paused=True)
    assert found() == {}, "one is used, and comes back when its run ends"


def test_the_first_of_an_order_keeps_its_place_until_its_retry():
    make_worker(queues=["default"])
    first = make_run(queue="a", ordering_key="account:7")
    second = make_run(ordering_key="account:7")
    let_through(first, second)
    assert "limit order:account:7" in found()
    end(claim(first), status="retrying", at=clock())
    assert not Outbox.objects.get(pk=first).ready
    assert found() == {}
