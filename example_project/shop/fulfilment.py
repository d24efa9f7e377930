"""From a placed order to its parcel, as a flow: paid and picked at the same time, shipped when both are done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openqueue import Flow, enqueue_flow
from shop import tasks

if TYPE_CHECKING:
    from openqueue import FlowHandle
    from shop.models import Order


def fulfil(order: Order) -> FlowHandle:
    """Have an order paid, picked and shipped; in atomic() the flow exists exactly when the order does."""
    flow = Flow(f"order {order.number}")
    paid = flow.add(tasks.charge_payment.bind(order_id=order.pk), name="charge")
    picked = flow.add(tasks.pick_articles.bind(order_id=order.pk), name="pick")
    flow.add(tasks.ship_order.bind(order_id=order.pk), name="ship", after=[paid, picked])
    flow.when_failed(tasks.put_back.bind())
    return enqueue_flow(flow)
