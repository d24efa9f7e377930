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
        from openqueue import checks, registry
        from openqueue.core import flows
        from openqueue.definitions.rows import Rows

        registry.look_elsewhere(Rows())
        checks.register_all()
        flows.register()
        autodiscover_modules("tasks")
