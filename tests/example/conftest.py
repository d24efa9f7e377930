from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from io import StringIO
from pathlib import Path
from typing import Any

import django
import pytest

from openqueue.testing.plugin import queued_runs as queued_runs

EXAMPLE = Path(__file__).resolve().parents[2] / "example_project"


@pytest.fixture
def provider(settings: Any) -> Iterator[Any]:
    """The payment provider, listening, and the shop talking to it."""
    from payment_provider import Provider

    with Provider(latency=0, stall=0.6, retry_after=2) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        settings.SHOP_PROVIDER_URL = server.url
        settings.SHOP_PROVIDER_PATIENCE = 0.2
        yield server
        server.closing.set()
        server.shutdown()
        serving.join()


@pytest.fixture
def shop(db: None, settings: Any, tmp_path: Path) -> Path:
    """A shop with a full catalogue; returns the folder it writes to."""
    from django.core.management import call_command

    settings.SHOP_DATA_DIR = EXAMPLE / "data"
    settings.SHOP_INVOICE_DIR = tmp_path / "invoices"
    settings.VAR_DIR = tmp_path
    backend = "django.core.mail.backends.filebased.EmailBackend"
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"file_path": tmp_path / "mail"}}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = backend, tmp_path / "mail"
    call_command("shop_setup", stdout=StringIO())
    return tmp_path


@pytest.fixture
def order(shop: Path) -> Callable[..., Any]:
    """Builder of orders that nobody has charged yet."""
    from shop.models import Customer, Order, Product

    def build(*, card: str = "card_fine", articles: tuple[str, ...] = ("TEA-SENCHA", "CUP-BLUE")) -> Order:
        customer, _ = Customer.objects.get_or_create(email="ada@shop.example", defaults={"name": "Ada <3"})
        items = {Product.objects.get(sku=article): 2 for article in articles}
        return Order.objects.place(customer=customer, card=card, items=items)

    return build


@pytest.fixture
def mails(shop: Path) -> Callable[[], list[EmailMessage]]:
    """Tell the messages that the shop has sent, oldest first."""

    def sent() -> list[EmailMessage]:
        files = sorted((shop / "mail").iterdir(), key=lambda file: file.stat().st_mtime_ns)
        texts = b"".join(file.read_bytes() for file in files)  # one file may hold several messages
        return [message_from_bytes(text, policy=default) for text in texts.split(b"-" * 79 + b"\n")[:-1]]

    return sent


@pytest.fixture
def triggered() -> Callable[[str], list[dict[str, Any]]]:
    """Tell the payloads of the runs of a task, oldest first."""
    from openqueue.models import Run

    def payloads(task_id: str) -> list[dict[str, Any]]:
        return [run.payload for run in Run.objects.filter(task_id=task_id).order_by("pk")]

    return payloads


@pytest.fixture
def manage(tmp_path: Path, provider: Any) -> Callable[..., str]:
    """Run a command of a shop on SQLite in a process of its own; return what it printed."""
    environ = os.environ | {
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": str(EXAMPLE.parent),
        "SHOP_PROVIDER_URL": provider.url,
        "SHOP_VAR_DIR": str(tmp_path),
    }

    def run(*arguments: str, **more: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=EXAMPLE, env=environ | more, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
