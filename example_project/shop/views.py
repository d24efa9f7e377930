"""The shop's pages: what was sold, and a form to buy something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from shop.checkout import buy
from shop.forms import OrderForm
from shop.models import Invoice, Order
from shop.urgency import AT_ONCE

if TYPE_CHECKING:
    from django.http import HttpResponseBase

SHOWN = 12


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the figures, the newest orders and the order form."""
    return render(request, "shop/home.html", _home(OrderForm()))


@require_POST
def place_order(request: HttpRequest) -> HttpResponse:
    """Buy: the request writes the order and triggers its payment, in one transaction."""
    form = OrderForm(request.POST)
    if not form.is_valid():
        return render(request, "shop/home.html", _home(form), status=422)
    asked = form.cleaned_data
    items = {asked["product"]: asked["quantity"]}
    order, _ = buy(
        name=asked["name"], email=asked["email"], card=asked["card"], items=items, priority=AT_ONCE
    )
    return redirect("order", number=order.number)


@require_safe
def order(request: HttpRequest, number: str) -> HttpResponse:
    """Show how far an order got."""
    orders = Order.objects.select_related("customer", "invoice").prefetch_related(
        "lines__product", "payments"
    )
    found = get_object_or_404(orders, number=number)
    invoice = getattr(found, "invoice", None)
    moving = found.status == Order.Status.PLACED or (
        found.status == Order.Status.PAID and not (invoice and invoice.sent_at)
    )
    return render(request, "shop/order.html", {"order": found, "invoice": invoice, "moving": moving})


@require_safe
def invoice(request: HttpRequest, number: str) -> HttpResponseBase:
    """Hand out an invoice as it lies on disk."""
    found = get_object_or_404(Invoice, number=number)
    return FileResponse(
        (settings.SHOP_INVOICE_DIR / found.html_file).open("rb"), content_type="text/html; charset=utf-8"
    )


def _home(form: OrderForm) -> dict[str, object]:
    newest = Order.objects.select_related("customer", "invoice")[:SHOWN]
    return {"form": form, "counts": Order.objects.all().counts(), "orders": newest}
