"""Customers for the shop."""

from __future__ import annotations

import random
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable

from django.core.management.base import BaseCommand

from shop.checkout import buy
from shop.models import Order, Product
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
CHORES_EVERY = {check_stock: 20.0, reconcile_payments: 120.0}  # seconds


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
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        self.import_file()
        self.serve(stopped.wait, rate=rate)

    def serve(self, wait: Callable[[float], bool], *, rate: float) -> None:
        """Place orders until `wait` says that it is over."""
        chores = dict.fromkeys(CHORES_EVERY, time.monotonic())
        while not wait(self.random.expovariate(rate)):
            self.place_order()
            for chore, due in chores.items():
                if time.monotonic() >= due:
                    chore.trigger()
                    chores[chore] = time.monotonic() + CHORES_EVERY[chore]

    def import_file(self) -> None:
        """Have the orders of other shops imported, the first time."""
        if not Order.objects.filter(source=Order.Source.FILE).exists():
            import_orders.trigger(file_name="orders.csv")
            self.stdout.write("orders.csv: a thousand orders are being imported")

    def place_order(self) -> None:
        """Be a customer."""
        name = self.random.choice(NAMES)
        articles = self.random.sample(list(Product.objects.all()), k=self.random.randint(1, 4))
        order, _ = buy(
            name=name,
            email=f"{name.replace(' ', '.').lower()}@shop.example",
            card=self.random.choices([*CARDS], weights=[*CARDS.values()])[0],
            items={article: self.random.randint(1, 3) for article in articles},
        )
        wanted = ", ".join(article.sku for article in articles)
        self.stdout.write(f"{name} ordered {wanted} for € {order.total} with {order.card} ({order.number})")
