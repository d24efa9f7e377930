from __future__ import annotations

import re

import pytest

SPAN = re.compile(r"trace=(?P<trace>\w+) span=(?P<id>\w+) parent=(?P<parent>[\w-]+) .* \w+: (?P<name>.+)")
BUY = """
from django.test import Client
from shop.models import Product
article = Product.objects.get(sku="TEA-CHAI").pk
form = {"name": "Ada", "email": "ada@shop.example", "product": article, "quantity": 1, "card": "card_fine"}
assert Client(headers={"host": "localhost"}).post("/orders/", form).status_code == 302
"""

pytestmark = pytest.mark.crash


def test_request_trigger_run_and_the_tasks_own_span_are_one_trace(manage):
    manage("shop_setup")
    bought = manage("shell", "-c", BUY, OPENQUEUE_DEMO_TRACING="1")
    worked = manage("openqueue_worker", "--drain", OPENQUEUE_DEMO_TRACING="1")
    spans = [*spans_in(bought), *spans_in(worked)]
    by_id = {span["id"]: span for span in spans}

    def way_of(span: dict[str, str]) -> list[str]:
        parent = by_id.get(span["parent"])
        return [*(way_of(parent) if parent else []), span["name"]]

    ways = {span["name"]: way_of(span) for span in spans}
    assert ways["charge"][0] == "POST orders/"
    assert ways["charge"][-3:] == ["trigger shop.charge_payment", "shop.charge_payment", "charge"]
    assert ways["shop.send_invoice"][-5:] == [
        "shop.charge_payment",
        "trigger shop.render_invoice",
        "shop.render_invoice",
        "trigger shop.send_invoice",
        "shop.send_invoice",
    ]
    assert len({span["trace"] for span in spans}) == 1


def spans_in(output: str) -> list[dict[str, str]]:
    return [match.groupdict() for match in map(SPAN.match, output.splitlines()) if match]
