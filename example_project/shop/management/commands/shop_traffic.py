"""Customers for the shop."""

from __future__ import annotations

import random
import signal
import time
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from shop.checkout import buy
from shop.digests import subscribe
from shop.fulfilment import fulfil
from shop.models import Customer, Order, Product
from shop.tasks import check_stock, import_orders, reconcile_payments

NAMES = (
    "Ada Lovelace",
    "Alan Turing",
    "Grace Hopper",
    "Katherine Johnson",
    "Edsger Dijkstra",
    "Barbara Liskov",
)
CARDS = {
    "card_fine": 86,
    "card_unstable": 4,
    "card_declined": 3,
    "card_busy": 3,
    "card_slow": 2,
    "card_dripping": 1,
    "card_down": 1,
}
REPORT_EVERY = 10.0  # seconds
STOCK_EVERY = 15.0
BOOKS_EVERY = 60.0
PARCEL_EVERY = 20.0


class Command(BaseCommand):
    """Place orders, a few a second, until told to stop."""

    help = "Keeps customers coming: places real orders at random moments, and has the shop's chores done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rate", type=float, default=2.0, help="orders a second, on average (default: 2)"
        )
        parser.add_argument("--seed", type=int, help="the same customers in the same order every time")
        parser.add_argument("--once", action="store_true", help="place one order and stop")

    def handle(self, *, rate: float, seed: int | None, once: bool, **options: object) -> None:
        self.random = random.Random(seed)
        if once:
            self.place_order()
            return
        self.import_file()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):  # an order that is being placed is rolled back, and its run with it
            self.serve(rate=rate)

    def serve(self, *, rate: float) -> None:
        """Place orders and have the chores done, until interrupted."""
        acts = {
            self.report: REPORT_EVERY,
            check_stock.trigger: STOCK_EVERY,
            reconcile_payments.trigger: BOOKS_EVERY,
            self.order_parcel: PARCEL_EVERY,
        }
        due = {act: time.monotonic() + seconds for act, seconds in acts.items()}
        while True:
            time.sleep(self.random.expovariate(rate))
            self.place_order()
            for act, seconds in acts.items():
                if time.monotonic() >= due[act]:
                    act()
                    due[act] += seconds

    def import_file(self) -> None:
        """Have the orders of other shops imported, the first time."""
        if not Order.objects.filter(source=Order.Source.FILE).exists():
            import_orders.trigger(file_name="orders.csv")
            self.stdout.write("orders.csv: a thousand orders are being imported")

    def place_order(self) -> None:
        """Be a customer."""
        wanted = self.choose()
        order, _ = buy(**wanted)
        skus = ", ".join(article.sku for article in wanted["items"])
        said = f"{wanted['name']} ordered {skus} for € {order.total} with {order.card} ({order.number})"
        self.stdout.write(said)

    def order_parcel(self) -> None:
        """Be a customer who has it sent, by a flow, and who wants a digest each week, by a schedule."""
        wanted = self.choose()
        with transaction.atomic():
            customer, _ = Customer.objects.get_or_create(
                email=wanted["email"], defaults={"name": wanted["name"]}
            )
            order = Order.objects.place(customer=customer, card=wanted["card"], items=wanted["items"])
            fulfil(order)
            subscribe(customer)
        self.stdout.write(f"{wanted['name']} wants a parcel ({order.number}) and a digest each week")

    def choose(self) -> dict[str, Any]:
        """Return who buys what, and with which card."""
        name = self.random.choice(NAMES)
        articles = self.random.sample(list(Product.objects.all()), k=self.random.randint(1, 4))
        return {
            "name": name,
            "email": f"{name.replace(' ', '.').lower()}@shop.example",
            "card": self.random.choices([*CARDS], weights=[*CARDS.values()])[0],
            "items": {article: self.random.randint(1, 3) for article in articles},
        }

    def report(self) -> None:
        """Say how the shop is doing."""
        count = Order.objects.all().counts()
        self.stdout.write(
            f"{count['placed']} orders so far: {count['paid']} paid, {count['declined']} declined, "
            f"{count['mailed']} invoices mailed"
        )
