"""Make the shop ready to open."""

from __future__ import annotations

import csv
import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from openqueue.control.actor import Actor
from openqueue.control.alerts import channels, rules
from shop import demo_link
from shop.models import Product

SETUP = Actor(name="shop_setup")


class Command(BaseCommand):
    """Migrate, fill the catalogue, watch the payments, make an admin."""

    help = "Migrates the database, fills the catalogue and makes an admin. Run again, it changes nothing."
    requires_system_checks = ()

    def handle(self, **options: object) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        self.fill_catalogue()
        self.watch_payments()
        password = self.admin_password()
        self.stdout.write(f"link: {demo_link.make()}")
        self.stdout.write(f"admin password: {password}")

    def fill_catalogue(self) -> None:
        with (settings.SHOP_DATA_DIR / "products.csv").open(encoding="utf-8", newline="") as file:
            Product.objects.bulk_create(
                (Product(**row) for row in csv.DictReader(file)), ignore_conflicts=True
            )

    def watch_payments(self) -> None:
        """Have somebody hear of it when payments fail: by an e-mail, which the shop keeps as a file."""
        if channels.listing() or rules.listing():
            return
        to = channels.create("shopkeeper", kind="email", recipients=["keeper@shop.example"], actor=SETUP)
        rule = {"name": "payments fail", "kind": "failure_rate", "threshold": 5, "window": 300, "least": 20}
        rules.create(
            {**rule, "queues": ["billing"], "severity": "critical"}, channels=[to.channel.id], actor=SETUP
        )

    def admin_password(self) -> str:
        """Return the password of "admin", made up the first time and kept in a file for its owner alone."""
        kept = settings.VAR_DIR / "admin-password"
        users = get_user_model().objects
        known = kept.exists() and users.filter(username="admin").exists()
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_urlsafe(9))
        password = kept.read_text()
        if not known:
            admin, _ = users.get_or_create(username="admin", defaults={"email": "admin@shop.example"})
            admin.is_staff = admin.is_superuser = True
            admin.set_password(password)
            admin.save()
        return password
