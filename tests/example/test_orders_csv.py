from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "example_project" / "data"


def test_the_script_reproduces_the_committed_file_byte_for_byte(tmp_path):
    target = tmp_path / "orders.csv"
    subprocess.run([sys.executable, DATA / "make_orders.py", target], check=True)
    assert target.read_bytes() == (DATA / "orders.csv").read_bytes()


def test_the_file_holds_a_thousand_different_orders_that_the_shop_can_read():
    from shop import order_file

    with (DATA / "products.csv").open(encoding="utf-8", newline="") as file:
        articles = {product["sku"] for product in csv.DictReader(file)}
    orders = list(order_file.read(DATA / "orders.csv", articles=articles))
    assert len({order.number for order in orders}) == len(orders) == 1_000


def test_every_test_card_occurs_in_the_file():
    from shop import order_file
    from shop.forms import CARDS

    with (DATA / "orders.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        assert rows.fieldnames == order_file.HEADER
        assert {row["card"] for row in rows} == CARDS.keys()
