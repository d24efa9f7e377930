from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.urls import reverse

from openqueue import NonRetryableError, PayloadInvalid, RetryableError, TaskCancelled, TaskContext
from shop import documents, payment, tasks
from shop.checkout import buy
from shop.models import Invoice, Order, Product
from shop.order_file import HEADER

pytestmark = [pytest.mark.django_db, pytest.mark.urls("config.urls")]


# The file of orders


def test_a_file_of_a_thousand_orders_becomes_a_thousand_orders_and_as_many_runs(shop, triggered):
    assert tasks.import_orders.call(file_name="orders.csv") == {"read": 1_000, "imported": 1_000}
    assert Order.objects.filter(status=Order.Status.PLACED).count() == 1_000
    charged = {payload["order_id"] for payload in triggered("shop.charge_payment")}
    assert charged == set(Order.objects.values_list("pk", flat=True))


def test_the_number_of_statements_does_not_grow_with_the_file(shop, settings, django_assert_max_num_queries):
    with django_assert_max_num_queries(40):
        tasks.import_orders.call(file_name="orders.csv")


def test_importing_a_file_twice_adds_nothing(shop, triggered):
    tasks.import_orders.call(file_name="orders.csv")
    assert tasks.import_orders.call(file_name="orders.csv") == {"read": 1_000, "imported": 0}
    assert len(triggered("shop.charge_payment")) == 1_000


def test_an_import_that_is_rolled_back_leaves_neither_orders_nor_runs(shop, triggered):
    with transaction.atomic():
        tasks.import_orders.call(file_name="orders.csv")
        transaction.set_rollback(True)
    assert not Order.objects.exists()
    assert triggered("shop.charge_payment") == []


def test_orders_whose_payments_cannot_be_triggered_are_not_imported(shop, settings):
    settings.OPENQUEUE = {"PAYLOAD_LIMIT": 5}
    with pytest.raises(PayloadInvalid):
        tasks.import_orders.call(file_name="orders.csv")
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "A1,2026-03-02T08:00:00Z,Ada,ada@shop.example,card_fine,TEA-GOLD:1",
            "line 3: no such article: TEA-GOLD",
        ),
        ("A1,2026-03-02T08:00:00Z,Ada,ada@shop.example,card_fine,", "line 3: nothing was ordered"),
        ("A1,yesterday,Ada,ada@shop.example,card_fine,TEA-SENCHA:1", "line 3: Invalid isoformat string"),
        ("A1,2026-03-02T08:00:00Z,Ada", "line 3: nothing was ordered"),
        ("A1,2026-03-02T08:00:00Z,Ada,ada@shop.example,card_fine,TEA-SENCHA:1,?", "line 3: too many columns"),
    ],
)
def test_a_broken_line_fails_for_good_and_is_named(shop, settings, line, complaint):
    settings.SHOP_DATA_DIR = shop
    good = "A0,2026-03-02T08:00:00Z,Ada,ada@shop.example,card_fine,TEA-SENCHA:1"
    (shop / "broken.csv").write_text("\n".join([",".join(HEADER), good, line]))
    with pytest.raises(NonRetryableError, match=re.escape(complaint)):
        tasks.import_orders.call(file_name="broken.csv")
    assert not Order.objects.exists()


# The payment


def test_a_good_card_is_charged_and_an_invoice_follows(provider, order, triggered):
    placed = order()
    answer = tasks.charge_payment.call(order_id=placed.pk)
    placed.refresh_from_db()
    assert placed.status == Order.Status.PAID
    assert placed.payment_reference == answer["reference"]
    assert provider.charges[placed.payment_key]["amount"] == "53.80"
    assert triggered("shop.render_invoice") == [{"order_id": placed.pk}]


def test_a_declined_card_is_not_tried_again(provider, order, triggered):
    placed = order(card="card_declined")
    with pytest.raises(NonRetryableError, match="declined"):
        tasks.charge_payment.call(order_id=placed.pk)
    placed.refresh_from_db()
    assert placed.status == Order.Status.DECLINED
    assert triggered("shop.render_invoice") == []


def test_a_busy_provider_says_when_to_come_back(provider, order):
    placed = order(card="card_busy")
    with pytest.raises(RetryableError) as raised:
        tasks.charge_payment.call(order_id=placed.pk)
    assert raised.value.delay == timedelta(seconds=provider.retry_after)
    tasks.charge_payment.call(order_id=placed.pk)
    assert outcomes(placed) == ["throttled", "charged"]


def test_a_provider_that_fails_is_asked_again(provider, order):
    placed = order(card="card_unstable")
    with pytest.raises(payment.Unavailable, match="500"):
        tasks.charge_payment.call(order_id=placed.pk)
    tasks.charge_payment.call(order_id=placed.pk)
    assert outcomes(placed) == ["unavailable", "charged"]


def test_an_answer_that_was_lost_never_charges_twice(provider, order):
    placed = order(card="card_slow")
    with pytest.raises(payment.Unavailable, match="timed out"):
        tasks.charge_payment.call(order_id=placed.pk)
    tasks.charge_payment.call(order_id=placed.pk)
    assert outcomes(placed) == ["unavailable", "replayed"]
    assert [*provider.charges] == [placed.payment_key]


def test_a_provider_that_is_not_there_is_unavailable(provider, order):
    provider.socket.close()
    with pytest.raises(payment.Unavailable):
        tasks.charge_payment.call(order_id=order().pk)


def test_a_paid_order_has_one_charge_and_one_invoice_however_often_it_is_charged(provider, order, triggered):
    placed = order()
    for _ in range(3):
        tasks.charge_payment.call(order_id=placed.pk)
    assert outcomes(placed) == ["charged", "replayed", "replayed"]
    assert len(triggered("shop.render_invoice")) == 1


def test_the_provider_remembers_its_charges_after_a_restart(tmp_path):
    from payment_provider import Provider

    with Provider(ledger=tmp_path / "ledger") as server:
        charge, _ = server.book("order-1", amount="5.00", currency="EUR")
    with Provider(ledger=tmp_path / "ledger") as server:
        assert server.book("order-1", amount="5.00", currency="EUR") == (charge, True)


# The invoice


def test_an_invoice_is_written_as_html_and_as_text(provider, order, shop, triggered):
    placed = order()
    tasks.charge_payment.call(order_id=placed.pk)
    tasks.render_invoice.call(order_id=placed.pk)
    invoice = Invoice.objects.get(order=placed)
    html = (shop / "invoices" / invoice.html_file).read_text()
    text = (shop / "invoices" / invoice.text_file).read_text()
    assert "Ada &lt;3" in html
    assert "Ada <3" in text
    for document in (html, text):
        assert all(word in document for word in ("Sencha 100 g", "45.21", "8.59", "53.80", invoice.number))
    assert triggered("shop.send_invoice") == [{"invoice_id": invoice.pk}]


def test_an_invoice_rendered_twice_is_one_invoice_and_one_file(order, shop, triggered):
    placed = order()
    tasks.render_invoice.call(order_id=placed.pk)
    tasks.render_invoice.call(order_id=placed.pk)
    assert len(triggered("shop.send_invoice")) == 1
    assert len([*(shop / "invoices").rglob("INV-*")]) == len([*(shop / "invoices").rglob("*.*")]) == 2


def test_net_and_vat_of_an_invoice_add_up_to_its_total(order, shop):
    placed = order()
    placed.total = Decimal("0.03")
    documents.write_invoice(placed)
    text = next((shop / "invoices").rglob("*.txt")).read_text()
    amounts = [Decimal(amount) for amount in re.findall(r"(?:Net|VAT 19 %|Total EUR) +([\d.]+)", text)]
    assert amounts[0] + amounts[1] == amounts[2] == Decimal("0.03")


def test_an_invoice_is_mailed_once_with_its_document(order, mails):
    placed = order()
    tasks.render_invoice.call(order_id=placed.pk)
    invoice = Invoice.objects.get(order=placed)
    assert tasks.send_invoice.call(invoice_id=invoice.pk) == {"sent": True}
    assert tasks.send_invoice.call(invoice_id=invoice.pk) == {"sent": False}
    (message,) = mails()
    assert message["To"] == "ada@shop.example"
    assert message["Message-ID"] == f"<{invoice.number}@shop.example>"
    (document,) = message.iter_attachments()
    assert document.get_filename() == f"{invoice.number}.html"
    assert "Sencha 100 g" in document.get_content()
    assert "Sencha 100 g" in message.get_body().get_content()


def test_a_copy_is_sent_even_of_an_invoice_that_was_sent(order, mails):
    tasks.render_invoice.call(order_id=order().pk)
    invoice = Invoice.objects.get()
    tasks.send_invoice.call(invoice_id=invoice.pk)
    tasks.send_invoice.call(invoice_id=invoice.pk, copy_to="boss@shop.example")
    assert [message["Cc"] for message in mails()] == [None, "boss@shop.example"]


# The chores


@pytest.mark.django_db(transaction=True)
def test_the_warehouse_is_asked_about_every_article(provider, shop):
    async def check() -> dict[str, int]:
        return await tasks.check_stock.call()

    answer = async_to_sync(check)()
    assert answer["articles"] == Product.objects.filter(stock_checked_at__isnull=False).count() == 20


def test_books_that_agree_are_reported_as_such(provider, order):
    tasks.charge_payment.call(order_id=order().pk)
    report = tasks.reconcile_payments.call()
    assert (report.checked, report.missing, report.differing) == (1, [], [])


def test_a_charge_that_is_missing_or_differs_is_found(provider, order):
    lost, wrong = order(), order()
    for placed in (lost, wrong):
        tasks.charge_payment.call(order_id=placed.pk)
    del provider.charges[lost.payment_key]
    provider.charges[wrong.payment_key]["amount"] = "1.00"
    report = tasks.reconcile_payments.call(since=date(2026, 1, 1))
    assert (report.missing, report.differing) == ([lost.number], [wrong.number])


def test_a_cancelled_reconciliation_stops_before_the_next_order(provider, order):
    tasks.charge_payment.call(order_id=order().pk)
    context = TaskContext(run_id=uuid4(), task_id="shop.reconcile_payments", queue="reports")
    context._cancelled = True  # as the worker does when its heartbeat brings the news
    with pytest.raises(TaskCancelled):
        tasks.reconcile_payments(context)


# The pages


def test_an_order_from_the_page_is_placed_and_its_payment_triggered(client, shop, triggered):
    response = client.post(reverse("place-order"), asked())
    placed = Order.objects.get()
    assert response.headers["Location"] == reverse("order", args=[placed.number])
    assert triggered("shop.charge_payment") == [{"order_id": placed.pk}]
    assert "Under way" in client.get(response.headers["Location"]).content.decode()


def test_an_order_without_a_name_is_asked_for_it_and_triggers_nothing(client, shop, triggered):
    response = client.post(reverse("place-order"), asked() | {"name": ""})
    assert response.status_code == 422
    assert "This field is required." in response.content.decode()
    assert triggered("shop.charge_payment") == []


def test_an_order_needs_the_token_of_the_form(shop):
    from django.test import Client

    assert Client(enforce_csrf_checks=True).post(reverse("place-order"), asked()).status_code == 403


def test_the_home_page_counts_what_was_paid(client, provider, order):
    paid = order()
    order(card="card_declined")
    tasks.charge_payment.call(order_id=paid.pk)
    page = client.get(reverse("home")).content.decode()
    assert "<dt>Orders</dt><dd>2</dd>" in page
    assert "<dt>Paid</dt><dd>1</dd>" in page


def test_an_invoice_can_be_read_on_the_page(client, order, shop):
    placed = order()
    tasks.render_invoice.call(order_id=placed.pk)
    response = client.get(reverse("invoice", args=[placed.invoice.number]))
    assert b"Sencha" in b"".join(response.streaming_content)


def test_an_order_and_its_payment_vanish_together(shop, triggered):
    items = {Product.objects.first(): 1}
    with transaction.atomic():
        buy(name="Ada", email="ada@shop.example", card="card_fine", items=items)
        transaction.set_rollback(True)
    assert (Order.objects.count(), triggered("shop.charge_payment")) == (0, [])


def test_an_order_whose_payment_cannot_be_triggered_is_not_placed(shop, settings):
    settings.OPENQUEUE = {"PAYLOAD_LIMIT": 5}
    with pytest.raises(PayloadInvalid):
        buy(name="Ada", email="ada@shop.example", card="card_fine", items={Product.objects.first(): 1})
    assert not Order.objects.exists()


# The commands


def test_setting_the_shop_up_again_changes_nothing(shop, capsys):
    Product.objects.update(stock=7)
    call_command("shop_setup")
    first = capsys.readouterr().out.splitlines()
    call_command("shop_setup")
    again = capsys.readouterr().out.splitlines()
    # The link that signs in holds the moment at which it was made.
    assert [line for line in again if not line.startswith("link: ")] == [
        line for line in first if not line.startswith("link: ")
    ]
    assert set(Product.objects.values_list("stock", flat=True)) == {7}


def test_another_database_gets_an_admin_with_the_password_that_is_kept(shop, client):
    kept = (shop / "admin-password").read_text()
    get_user_model().objects.all().delete()
    call_command("shop_setup", stdout=StringIO())
    assert (shop / "admin-password").read_text() == kept
    assert client.login(username="admin", password=kept)


def test_a_lost_password_is_made_anew(shop, client):
    (shop / "admin-password").unlink()
    call_command("shop_setup", stdout=StringIO())
    assert client.login(username="admin", password=(shop / "admin-password").read_text())


def test_the_same_seed_brings_the_same_customer(shop):
    for _ in range(2):
        call_command("shop_traffic", once=True, seed=11, stdout=StringIO())
    first, second = Order.objects.all()
    assert (first.customer, first.card, first.total) == (second.customer, second.card, second.total)


def outcomes(placed):
    return [attempt.outcome for attempt in placed.payments.all()]


def asked():
    article = Product.objects.get(sku="TEA-CHAI")
    return {
        "name": "Ada",
        "email": "ada@shop.example",
        "product": article.pk,
        "quantity": 2,
        "card": "card_fine",
    }
