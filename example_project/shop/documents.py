"""Invoices on disk and in the post."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

if TYPE_CHECKING:
    from shop.models import Invoice, Order

VAT = Decimal("0.19")
CENT = Decimal("0.01")


def write_invoice(order: Order) -> dict[str, str]:
    """Write both files of an order's invoice; return its number and their names below SHOP_INVOICE_DIR."""
    number = f"INV-{order.number}"
    net = (order.total / (1 + VAT)).quantize(CENT)
    content = {
        "number": number,
        "order": order,
        "lines": order.lines.all(),
        "net": net,
        "vat": order.total - net,
    }
    names = {}
    for kind, ending in (("html", "html"), ("text", "txt")):
        name = f"{order.placed_at:%Y-%m}/{number}.{ending}"
        _write(settings.SHOP_INVOICE_DIR / name, render_to_string(f"shop/invoice/invoice.{ending}", content))
        names[f"{kind}_file"] = name
    return {"number": number, **names}


def invoice_mail(invoice: Invoice, *, copy_to: str | None = None) -> EmailMessage:
    """Return the message that brings an invoice to its customer."""
    customer = invoice.order.customer
    message = EmailMessage(
        subject=f"Your invoice {invoice.number}",
        body=(settings.SHOP_INVOICE_DIR / invoice.text_file).read_text(encoding="utf-8"),
        to=[customer.email],
        cc=[copy_to] if copy_to else [],
        headers={"Message-ID": f"<{invoice.number}@shop.example>"},  # sent twice, it is still one message
    )
    message.attach_file(settings.SHOP_INVOICE_DIR / invoice.html_file, "text/html")
    return message


def _write(path: Path, text: str) -> None:
    """Write all of a file or nothing of it: a reader or a second attempt never meets half an invoice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)
