"""The shop's app."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Leaf & Pot, a small tea shop."""

    name = "shop"
    verbose_name = "Leaf & Pot"
    default_auto_field = "django.db.models.BigAutoField"
