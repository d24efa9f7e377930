"""Write orders.csv: a thousand orders, the same byte for byte wherever and whenever this runs."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import TextIO

HERE = Path(__file__).resolve().parent
ORDERS = 1_000
SEED = 2026
OPENING = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HEADER = ("number", "placed_at", "name", "email", "card", "items")

# How many of a hundred thousand orders pay with which test card; payment_provider.py tells what each does.
CARDS = {
    "card_fine": 90_700,
    "card_declined": 2_500,
    "card_unstable": 2_500,
    "card_busy": 2_000,
    "card_slow": 1_400,
    "card_dripping": 200,
    "card_down": 700,
}
FIRST_NAMES = (
    "Ada", "Amara", "Björn", "Chloé", "Dmitri", "Elif", "Farah", "Grace", "Hannah", "Ines", "Jürgen", "Kenji",
    "Łucja", "Mateo", "Nia", "Olga", "Priya", "Quentin", "Rosa", "Søren", "Tomás", "Uma", "Wei", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Adeyemi", "Almeida", "Becker", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova",
    "Jensen", "Kowalski", "Lindqvist", "Müller", "Nakamura", "O'Brien", "Patel", "Quist", "Rossi", "Sato",
    "Tanaka", "Ueda", "Vogel", "Wang", "Yildiz", "Zhou",
)  # fmt: skip


def main() -> None:
    """Write the file named on the command line, or orders.csv beside this script."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "orders.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        write_orders(file)


def write_orders(file: TextIO) -> None:
    """Write header and orders as CSV with Unix line ends."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(orders())


def orders() -> Iterator[tuple[str, ...]]:
    """Yield one row per order, oldest first."""
    dice = Dice(SEED)
    skus = product_skus()
    moment = OPENING
    for count in range(1, ORDERS + 1):
        moment += timedelta(seconds=60 + dice.below(4_800))
        name, email = customer(dice)
        items = " ".join(f"{sku}:{1 + dice.below(3)}" for sku in dice.some(skus, 1 + dice.below(4)))
        yield f"A{count:06}", f"{moment:%Y-%m-%dT%H:%M:%SZ}", name, email, dice.weighted(CARDS), items


def customer(dice: Dice) -> tuple[str, str]:
    """Return a name and its address: one name is always one address, so that customers come back."""
    first, last = dice.below(len(FIRST_NAMES)), dice.below(len(LAST_NAMES))
    return (
        f"{FIRST_NAMES[first]} {LAST_NAMES[last]}",
        f"customer-{first * len(LAST_NAMES) + last:03}@shop.example",
    )


def product_skus() -> list[str]:
    """Return the article numbers of products.csv."""
    with (HERE / "products.csv").open(encoding="utf-8", newline="") as file:
        return [row["sku"] for row in csv.DictReader(file)]


class Dice:
    """Chance built on random() alone, the one method whose sequence Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, limit: int) -> int:
        """Return a number from 0 to limit - 1."""
        return int(self._random() * limit)

    def some(self, things: Sequence[str], count: int) -> list[str]:
        """Return `count` different things."""
        left = list(things)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def weighted(self, weights: dict[str, int]) -> str:
        """Return one key, as often as its weight says."""
        mark = self.below(sum(weights.values()))
        edges = zip(weights, accumulate(weights.values()), strict=True)
        return next(key for key, edge in edges if mark < edge)


if __name__ == "__main__":
    main()
