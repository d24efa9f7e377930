"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OpenQueueConfig(AppConfig):
    """Finds every app's ``tasks.py`` once models are loaded, and registers the system checks."""

    name = "openqueue"
    verbose_name = "OpenQueue"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import what registers itself; models and tasks load after this package."""
        from openqueue import checks

        checks.register_all()
        autodiscover_modules("tasks")
