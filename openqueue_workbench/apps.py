"""The Workbench as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OpenQueueWorkbenchConfig(AppConfig):
    """Shows and steers runs, queues and workers inside the admin."""

    name = "openqueue_workbench"
    label = "openqueue_workbench"
    verbose_name = _("OpenQueue Workbench")
