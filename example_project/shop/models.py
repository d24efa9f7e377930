"""What the shop remembers: who bought what, how it was paid, and the invoice."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.models import Q, Sum
from django.utils import timezone

from shop.order_file import OrderRow

if TYPE_CHECKING:
    from uuid import UUID

LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # nothing that is misread on the telephone


def new_number() -> str:
    """Return the number of an order placed in the shop."""
    return "W" + "".join(secrets.choice(LETTERS) for _ in range(7))


class Customer(models.Model):
    """Somebody who bought tea; known by the address."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """An article; `stock` is what the warehouse said last."""

    sku = models.CharField("article", max_length=20, unique=True)
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    stock_checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("sku",)

    def __str__(self) -> str:
        return self.name


class OrderQuerySet(models.QuerySet["Order"]):
    """Sets of orders, and how new ones come to be."""

    def place(
        self, *, customer: Customer, card: str, items: Mapping[Product, int], number: str | None = None
    ) -> Order:
        """Create one order with its lines; both or neither."""
        total = sum((product.price * quantity for product, quantity in items.items()), Decimal(0))
        with transaction.atomic(using=self.db):
            order = self.create(number=number or new_number(), customer=customer, card=card, total=total)
            OrderLine.objects.using(self.db).bulk_create(lines_of(order, items))
        return order

    def import_rows(self, rows: Sequence[OrderRow]) -> list[Order]:
        """Create the orders of a file that are not here yet, in a handful of statements."""
        known = set(self.filter(number__in=[row.number for row in rows]).values_list("number", flat=True))
        new = [row for row in rows if row.number not in known]
        customers = Customer.objects.using(self.db)
        customers.bulk_create(
            {row.email: Customer(name=row.name, email=row.email) for row in new}.values(),
            ignore_conflicts=True,
        )
        by_email = {
            customer.email: customer for customer in customers.filter(email__in={row.email for row in new})
        }
        by_sku = {product.sku: product for product in Product.objects.using(self.db)}
        baskets = [{by_sku[sku]: quantity for sku, quantity in row.items.items()} for row in new]
        orders = self.bulk_create(
            Order(
                number=row.number,
                placed_at=row.placed_at,
                customer=by_email[row.email],
                card=row.card,
                total=sum((product.price * quantity for product, quantity in basket.items()), Decimal(0)),
                source=Order.Source.FILE,
            )
            for row, basket in zip(new, baskets, strict=True)
        )
        OrderLine.objects.using(self.db).bulk_create(
            line for order, basket in zip(orders, baskets, strict=True) for line in lines_of(order, basket)
        )
        return orders

    def counts(self) -> dict[str, Any]:
        """Return the figures of the home page in one query."""
        status = Order.Status
        return self.aggregate(
            placed=models.Count("pk"),
            paid=models.Count("pk", filter=Q(status=status.PAID)),
            declined=models.Count("pk", filter=Q(status=status.DECLINED)),
            invoiced=models.Count("invoice"),
            mailed=models.Count("invoice__sent_at"),
            revenue=Sum("total", filter=Q(status=status.PAID), default=Decimal(0)),
        )


class Order(models.Model):
    """One purchase and how far it got."""

    class Status(models.TextChoices):
        PLACED = "placed"
        PAID = "paid"
        DECLINED = "declined"
        UNPAID = "unpaid"

    class Source(models.TextChoices):
        SHOP = "shop"
        FILE = "file"

    number = models.CharField(max_length=20, unique=True, default=new_number)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    status = models.CharField(max_length=10, choices=Status, default=Status.PLACED)
    source = models.CharField(max_length=10, choices=Source, default=Source.SHOP)
    card = models.CharField(max_length=20)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    placed_at = models.DateTimeField(default=timezone.now)
    paid_at = models.DateTimeField(null=True, blank=True)
    payment_reference = models.CharField(max_length=40, blank=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return self.number

    @property
    def payment_key(self) -> str:
        """The idempotency key: one order is one charge, whichever run, attempt or replay asks for it."""
        return f"order-{self.number}"

    def settle(self, status: Status, *, reference: str = "") -> bool:
        """Say how the payment ended; what is paid stays paid, and whoever comes later is told False."""
        paid_at = timezone.now() if status == Order.Status.PAID else None
        unpaid = Order.objects.filter(pk=self.pk).exclude(status=Order.Status.PAID)
        return bool(unpaid.update(status=status, paid_at=paid_at, payment_reference=reference))

    def note_payment(self, outcome: str, *, run_id: UUID | str, attempt: int, message: str = "") -> None:
        """Write down how one request to the payment provider ended."""
        self.payments.create(run_id=run_id, attempt=attempt, outcome=outcome, message=message)


class OrderLine(models.Model):
    """One article of an order, at the price of the day."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=8, decimal_places=2)

    @property
    def price(self) -> Decimal:
        """What this line costs."""
        return self.unit_price * self.quantity


class PaymentAttempt(models.Model):
    """One request to the payment provider, with the run and the attempt that made it."""

    class Outcome(models.TextChoices):
        CHARGED = "charged"
        REPLAYED = "replayed", "charged before"
        DECLINED = "declined"
        THROTTLED = "throttled"
        UNAVAILABLE = "unavailable"

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="payments")
    run_id = models.UUIDField()
    attempt = models.PositiveIntegerField()
    outcome = models.CharField(max_length=12, choices=Outcome)
    message = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("pk",)


class Invoice(models.Model):
    """A document of an order; the files lie below SHOP_INVOICE_DIR."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="invoice")
    number = models.CharField(max_length=30, unique=True)
    html_file = models.CharField(max_length=200)
    text_file = models.CharField(max_length=200)
    rendered_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.number


def lines_of(order: Order, items: Mapping[Product, int]) -> Iterable[OrderLine]:
    """Yield the lines of an order at today's prices."""
    for product, quantity in items.items():
        yield OrderLine(order=order, product=product, quantity=quantity, unit_price=product.price)
