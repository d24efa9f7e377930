"""Which queues give first."""

from __future__ import annotations

from collections import Counter

import pytest

from openqueue.processes.worker.order import Order


def serve(order: Order, due: dict[str, int], *, batch: int, batches: int) -> Counter[str]:
    """Claim so many batches, as a runtime does that takes from queues in order."""
    given: Counter[str] = Counter()
    for _ in range(batches):
        room, counts = batch, Counter()
        for queue in order.ranked():
            taken = min(room, due[queue])
            due[queue] -= taken
            room -= taken
            counts[queue] += taken
        order.gave(+counts)
        given += counts
    return given


def test_strict_a_queue_gives_only_what_those_before_it_leave():
    order = Order(["high", "low"])
    assert serve(order, {"high": 25, "low": 100}, batch=10, batches=3) == {"high": 25, "low": 5}
    assert order.ranked() == ["high", "low"]


@pytest.mark.parametrize("batch", [1, 7, 200])
def test_weights_are_shares_over_time_however_large_a_batch_is(batch: int):
    order = Order(["mail", "reports"], weights={"mail": 3, "reports": 1})
    given = serve(order, {"mail": 10**6, "reports": 10**6}, batch=batch, batches=400)
    assert given["mail"] / given["reports"] == pytest.approx(3, rel=0.02)


def test_what_a_queue_leaves_goes_to_the_others():
    order = Order(["mail", "reports"], weights={"mail": 3, "reports": 1})
    assert serve(order, {"mail": 0, "reports": 100}, batch=10, batches=10) == {"reports": 100}


def test_no_claim_is_saved_up_by_a_queue_that_had_nothing():
    order = Order(["mail", "reports"], weights={"mail": 1, "reports": 1})
    serve(order, {"mail": 0, "reports": 1000}, batch=1, batches=1000)
    given = serve(order, {"mail": 1000, "reports": 1000}, batch=1, batches=20)
    assert abs(given["mail"] - given["reports"]) <= 2


def test_a_run_that_was_moved_to_another_queue_is_on_nobody_s_account():
    order = Order(["mail"], weights={"mail": 1})
    order.gave({"elsewhere": 5})
    assert order.ranked() == ["mail"]
