from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

PLACE = """
from django.db import transaction
from shop.models import Customer, Order, Product
from shop.tasks import charge_payment
customer = Customer.objects.create(email="ada@shop.example", name="Ada")
for card in "card_fine", "card_declined", "card_down":
    with transaction.atomic():
        order = Order.objects.place(customer=customer, card=card, items={Product.objects.first(): 1})
        charge_payment.using(max_attempts=1).trigger(order_id=order.pk)
"""
ENDS = """
SELECT card, status, sent_at IS NOT NULL
FROM shop_order LEFT JOIN shop_invoice ON shop_invoice.order_id = shop_order.id
ORDER BY shop_order.id
"""

pytestmark = pytest.mark.crash


def test_a_real_worker_brings_every_order_to_its_end(manage, tmp_path):
    manage("shop_setup")
    manage("shell", "-c", PLACE)
    manage("openqueue_worker", "--drain")
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as database:
        assert database.execute(ENDS).fetchall() == [
            ("card_fine", "paid", 1),
            ("card_declined", "declined", 0),
            ("card_down", "unpaid", 0),
        ]
