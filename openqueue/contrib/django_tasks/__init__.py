"""Django's own Tasks framework on OpenQueue's engine.

``TASKS = {"default": {"BACKEND": "openqueue.contrib.django_tasks.OpenQueueBackend"}}``
"""

from __future__ import annotations

from openqueue.contrib.django_tasks.backend import OpenQueueBackend

__all__ = ["OpenQueueBackend"]
