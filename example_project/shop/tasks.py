"""The shop's background work. OpenQueue finds this module as Django finds admin.py."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from openqueue import NonRetryableError, RetryableError, TaskContext, exponential, fixed, task
from shop import documents, order_file, payment, warehouse
from shop.models import Customer, Invoice, Order, PaymentAttempt, Product
from shop.urgency import WHENEVER


@task(queue="imports", timeout=120, tags=["import"])
def import_orders(ctx: TaskContext, file_name: str) -> dict[str, int]:
    """Read a file of orders and charge each of them: a thousand rows, a thousand runs, one transaction."""
    articles = set(Product.objects.values_list("sku", flat=True))
    try:
        rows = list(order_file.read(settings.SHOP_DATA_DIR / Path(file_name).name, articles=articles))
    except order_file.OrderFileError as error:
        raise NonRetryableError(str(error)) from error
    ctx.progress(50, f"{len(rows)} orders read")

    with transaction.atomic():  # orders and runs: all of them or none, and importing twice adds nothing
        orders = Order.objects.import_rows(rows)
        later = charge_payment.using(priority=WHENEVER)  # whoever buys in the shop meanwhile goes first
        later.trigger_many([{"order_id": order.pk} for order in orders])
    ctx.logger.info("orders imported", extra={"file": file_name, "orders": len(orders)})
    return {"read": len(rows), "imported": len(orders)}


def leave_unpaid(ctx: TaskContext, error: dict[str, Any]) -> None:
    """No attempt is left, so a person has to look at the order."""
    placed = Order.objects.filter(pk=ctx.payload["order_id"], status=Order.Status.PLACED)
    placed.update(status=Order.Status.UNPAID)


@task(
    queue="billing",
    max_attempts=5,
    backoff=exponential(base=1, factor=2, max=60, jitter=0.1),
    timeout=5,
    concurrency=6,  # of the worker's ten slots: a slow provider must not keep invoices waiting
    tags=["billing"],
    no_retry_on=[Order.DoesNotExist],
    on_failure=leave_unpaid,
)
def charge_payment(ctx: TaskContext, order_id: int) -> dict[str, Any]:
    """Take the money, once, however often this runs: the provider knows the order by its idempotency key."""
    order = Order.objects.get(pk=order_id)
    note = {"run_id": ctx.run_id, "attempt": ctx.attempt}
    outcome = PaymentAttempt.Outcome
    try:
        charge = payment.charge(order)
    except payment.Declined as error:
        order.settle(Order.Status.DECLINED)
        order.note_payment(outcome.DECLINED, message=str(error), **note)
        raise NonRetryableError(str(error)) from error
    except payment.Throttled as error:
        order.note_payment(outcome.THROTTLED, message=str(error), **note)
        raise RetryableError(str(error), delay=error.retry_after) from error
    except payment.Unavailable as error:
        order.note_payment(outcome.UNAVAILABLE, message=str(error), **note)
        raise  # tried again with back-off, as any other exception

    with transaction.atomic():  # paid and invoice to come, or neither
        order.note_payment(outcome.REPLAYED if charge.replayed else outcome.CHARGED, **note)
        if order.settle(Order.Status.PAID, reference=charge.reference):
            render_invoice.trigger(order_id=order.pk)
    return {"order": order.number, "reference": charge.reference, "amount": charge.amount}


@task(queue="documents", tags=["invoice"])
def render_invoice(order_id: int) -> dict[str, str]:
    """Write an order's invoice to disk, as HTML and as text, and have it sent."""
    order = Order.objects.select_related("customer").prefetch_related("lines__product").get(pk=order_id)
    files = documents.write_invoice(order)
    with transaction.atomic():
        invoice, new = Invoice.objects.update_or_create(order=order, defaults=files)
        if new:
            send_invoice.trigger(invoice_id=invoice.pk)
    return {"invoice": invoice.number, "file": invoice.html_file}


@task(queue="email", max_attempts=5, timeout=30, tags=["invoice"])
def send_invoice(invoice_id: int, copy_to: str | None = None) -> dict[str, bool]:
    """E-mail an invoice. A crash in the wrong moment sends it again: at least once, never not at all."""
    invoice = Invoice.objects.select_related("order__customer").get(pk=invoice_id)
    if invoice.sent_at and not copy_to:
        return {"sent": False}
    documents.invoice_mail(invoice, copy_to=copy_to).send()
    Invoice.objects.filter(pk=invoice.pk).update(sent_at=timezone.now())
    return {"sent": True}


@task(queue="stock", max_attempts=4, backoff=fixed(1), timeout=3, ttl=60, tags=["stock"])
async def check_stock() -> dict[str, int]:
    """Ask the warehouse about every article at once; if one answer takes too long, all are asked again."""
    products = [product async for product in Product.objects.all()]
    levels = await asyncio.gather(*(warehouse.stock_of(product.sku) for product in products))
    for product, level in zip(products, levels, strict=True):
        product.stock, product.stock_checked_at = level, timezone.now()
    await Product.objects.abulk_update(products, ["stock", "stock_checked_at"])
    return {"articles": len(products), "sold_out": levels.count(0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Our books against the provider's."""

    checked: int
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


@task(queue="reports", max_attempts=2, timeout=600, priority=WHENEVER, tags=["billing"])
def reconcile_payments(ctx: TaskContext, since: date | None = None) -> Reconciliation:
    """Ask the provider about every paid order; long, so it reports progress and heeds a cancellation."""
    paid = Order.objects.filter(status=Order.Status.PAID)
    if since:
        midnight = timezone.make_aware(datetime.combine(since, time.min))
        paid = paid.filter(placed_at__gte=midnight)
    orders = list(paid.only("number", "total"))
    result = Reconciliation(checked=len(orders))
    for count, order in enumerate(orders, start=1):
        ctx.raise_if_cancelled()
        charge = payment.find_charge(order.payment_key)
        if charge is None:
            result.missing.append(order.number)
        elif charge.amount != str(order.total):
            result.differing.append(order.number)
        ctx.progress(100 * count / len(orders), f"{count} of {len(orders)} compared")
    ctx.logger.info("payments compared", extra={"orders": len(orders), "missing": len(result.missing)})
    return result


@task(queue="stock", max_attempts=4, backoff=fixed(1), tags=["fulfilment"])
def pick_articles(ctx: TaskContext, order_id: int) -> dict[str, int]:
    """Take each article off its shelf, a step each: what is in the basket is not taken twice."""
    basket: dict[str, int] = {}
    for line in Order.objects.get(pk=order_id).lines.select_related("product"):
        basket[line.product.sku] = ctx.step(f"take {line.product.sku}", lambda line=line: line.quantity)
    return basket


@task(queue="stock", tags=["fulfilment"])
def ship_order(ctx: TaskContext, order_id: int) -> str:
    """Hand the parcel over; runs once the order is paid and picked, and reads both results."""
    paid, basket = ctx.flow.result("charge"), ctx.flow.result("pick")
    return f"{sum(basket.values())} articles of {paid['order']}, paid by {paid['reference']}"


@task(queue="stock", tags=["fulfilment"])
def put_back(ctx: TaskContext) -> dict[str, int]:
    """Put what was picked for an order that is not shipped back on its shelves."""
    node = ctx.flow.handle.nodes["pick"]
    return node.result if node.status == "completed" else {}


@task(queue="reports", cron="30 2 * * *", timezone="Europe/Berlin", tags=["report"])
def report_sales(ctx: TaskContext, day: date | None = None) -> dict[str, Any]:
    """Each night, the figures of the day before: of the night that this run stands for, however late it comes."""
    if day is None:
        tick = datetime.fromisoformat(ctx.meta["tick"]) if "tick" in ctx.meta else timezone.now()
        day = timezone.localdate(tick) - timedelta(days=1)
    midnight = timezone.make_aware(datetime.combine(day, time.min))
    orders = Order.objects.filter(placed_at__gte=midnight, placed_at__lt=midnight + timedelta(days=1))
    figures = orders.counts()
    ctx.logger.info("sales", extra={"day": str(day), "revenue": str(figures["revenue"])})
    return {"day": day.isoformat(), "placed": figures["placed"], "paid": figures["paid"]}


@task(queue="email", max_attempts=5, timeout=30, tags=["digest"])
def send_digest(ctx: TaskContext, customer_id: int) -> dict[str, int]:
    """What a customer ordered in the last seven days; each customer has a schedule (see digests.py)."""
    customer = Customer.objects.get(pk=customer_id)
    week = timezone.now() - timedelta(days=7)
    orders = list(customer.orders.filter(placed_at__gte=week).values_list("number", flat=True))
    if orders:
        send_mail("Your week", f"You ordered: {', '.join(orders)}", None, [customer.email])
    return {"orders": len(orders)}
