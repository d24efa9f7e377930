"""The Workbench as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class OpenQueueWorkbenchConfig(AppConfig):
    """Shows runs, queues and workers inside the admin."""

    name = "openqueue_workbench"
    label = "openqueue_workbench"
    verbose_name = "OpenQueue"
