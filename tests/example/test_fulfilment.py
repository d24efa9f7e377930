from __future__ import annotations

import pytest
from django.db import transaction

from openqueue.models import Run, RunEvent
from shop.fulfilment import fulfil

pytestmark = [pytest.mark.django_db, pytest.mark.urls("config.urls")]


def test_an_order_is_shipped_when_it_is_paid_and_picked(provider, order, queued_runs):
    placed = order()
    flow = fulfil(placed)
    queued_runs.run_all()
    assert flow.refresh().status == "completed"
    nodes = flow.nodes
    assert (
        nodes["ship"].result
        == f"{sum(nodes['pick'].result.values())} articles of {placed.number}, paid by "
        + (nodes["charge"].result["reference"])
    )
    assert not Run.objects.filter(task_id="shop.put_back").exists()
    taken = RunEvent.objects.filter(run_id=nodes["pick"].id, kind="step").values_list("data", flat=True)
    assert {fact["name"] for fact in taken} == {f"take {sku}" for sku in nodes["pick"].result}


def test_an_order_that_is_not_paid_is_not_shipped_and_its_articles_go_back(provider, order, queued_runs):
    flow = fulfil(order(card="card_declined"))
    queued_runs.run_all(raises=False)
    nodes = flow.nodes
    assert flow.refresh().status == "failed"
    ship = nodes["ship"].row
    assert (ship.status, ship.reason) == ("failed", "dependency_failed")
    assert "charge ended failed" in ship.error["message"]
    assert Run.objects.get(task_id="shop.put_back").result == nodes["pick"].result


def test_what_is_paid_is_not_paid_again_when_the_flow_is_retried(provider, order, queued_runs):
    placed = order()
    flow = fulfil(placed)
    queued_runs.fail(flow.nodes["ship"], RuntimeError("no carrier today"), attempt=None)
    queued_runs.run_all(until=3600, raises=False)
    assert flow.refresh().status == "failed"
    assert flow.retry(actor="ada") == 1
    assert [*provider.charges] == [placed.payment_key]


def test_a_rolled_back_order_has_no_flow(provider, order):
    with transaction.atomic():
        fulfil(order())
        transaction.set_rollback(True)
    assert not Run.objects.exists()
