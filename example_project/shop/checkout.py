"""Buying: the order and its payment, together or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db import transaction

from shop.models import Customer, Order, Product
from shop.tasks import charge_payment

if TYPE_CHECKING:
    from openqueue import RunHandle


def buy(
    *, name: str, email: str, card: str, items: Mapping[Product, int], priority: int = 0
) -> tuple[Order, RunHandle]:
    """Place an order and have it charged; the run exists exactly when the order does."""
    with transaction.atomic():
        customer, _ = Customer.objects.get_or_create(email=email, defaults={"name": name})
        order = Order.objects.place(customer=customer, card=card, items=items)
        run = charge_payment.using(priority=priority).trigger(order_id=order.pk)
    return order, run
