from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "example_project"
SPAN = re.compile(r"trace=(?P<trace>\w+) span=(?P<id>\w+) parent=(?P<parent>[\w-]+) .* \w+: (?P<name>.+)")
BUY = """
from django.test import Client
from shop.models import Product
article = Product.objects.get(sku="TEA-CHAI").pk
form = {"name": "Ada", "email": "ada@shop.example", "product": article, "quantity": 1, "card": "card_fine"}
assert Client(headers={"host": "localhost"}).post("/orders/", form).status_code == 302
"""

pytestmark = pytest.mark.crash


@pytest.fixture
def manage(tmp_path: Path, provider) -> Callable[..., str]:
    """Run a command of the shop in a process of its own; return what it printed."""
    traced = {"OPENQUEUE_DEMO_TRACING": "1", "SHOP_VAR_DIR": str(tmp_path), "SHOP_PROVIDER_URL": provider.url}
    plain = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": "",
        "PYTHONPATH": str(EXAMPLE.parent),
    }

    def run(*arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=EXAMPLE, env=os.environ | plain | traced, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_request_run_and_the_tasks_own_span_are_one_trace(manage):
    manage("shop_setup")
    spans = [*spans_in(manage("shell", "-c", BUY)), *spans_in(manage("openqueue_worker", "--drain"))]
    by_id = {span["id"]: span for span in spans}

    def way_of(span: dict[str, str]) -> list[str]:
        parent = by_id.get(span["parent"])
        return [*(way_of(parent) if parent else []), span["name"]]

    ways = {span["name"]: way_of(span) for span in spans}
    assert ways["charge"][0] == "POST orders/"
    assert ways["charge"][-2:] == ["shop.charge_payment", "charge"]
    assert ways["shop.send_invoice"][-3:] == [
        "shop.charge_payment",
        "shop.render_invoice",
        "shop.send_invoice",
    ]
    assert len({span["trace"] for span in spans}) == 1


def spans_in(output: str) -> list[dict[str, str]]:
    return [match.groupdict() for match in map(SPAN.match, output.splitlines()) if match]
