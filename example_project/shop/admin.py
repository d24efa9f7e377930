"""The shop's rows in Django's admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin, messages

from shop.models import Customer, Invoice, Order, OrderLine, PaymentAttempt, Product
from shop.tasks import charge_payment, check_stock, send_invoice

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0
    raw_id_fields = ("product",)


class PaymentAttemptInline(admin.TabularInline):
    model = PaymentAttempt
    extra = 0
    can_delete = False
    readonly_fields = ("at", "attempt", "outcome", "message", "run_id")

    def has_add_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("number", "customer", "status", "total", "card", "source", "placed_at", "paid_at")
    list_filter = ("status", "source", "card")
    list_select_related = ("customer",)
    search_fields = ("number", "customer__name", "customer__email")
    raw_id_fields = ("customer",)
    inlines = (OrderLineInline, PaymentAttemptInline)
    actions = ("charge_again",)

    @admin.action(description="Charge the selected orders again")
    def charge_again(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        runs = charge_payment.trigger_many([{"order_id": pk} for pk in queryset.values_list("pk", flat=True)])
        self.message_user(request, f"{len(runs)} payments are on their way.", messages.SUCCESS)


@admin.register(Invoice)
class InvoiceAdmin(admin.ModelAdmin):
    list_display = ("number", "order", "rendered_at", "sent_at", "html_file")
    list_select_related = ("order",)
    search_fields = ("number", "order__number")
    raw_id_fields = ("order",)
    actions = ("send_copy_to_me",)

    @admin.action(description="Send me a copy of the selected invoices")
    def send_copy_to_me(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        copies = [
            {"invoice_id": pk, "copy_to": request.user.email} for pk in queryset.values_list("pk", flat=True)
        ]
        send_invoice.trigger_many(copies)
        self.message_user(request, f"{len(copies)} copies are on their way.", messages.SUCCESS)


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("sku", "name", "price", "stock", "stock_checked_at")
    search_fields = ("sku", "name")
    actions = ("ask_the_warehouse",)

    @admin.action(description="Ask the warehouse for the stock of all articles")
    def ask_the_warehouse(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        check_stock.trigger()
        self.message_user(request, "The warehouse is being asked.", messages.SUCCESS)


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("name", "email")
    search_fields = ("name", "email")
