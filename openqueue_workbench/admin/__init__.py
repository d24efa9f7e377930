"""Plain lists of what OpenQueue remembers, to look at and nothing else."""

from __future__ import annotations

from django.contrib import admin

from openqueue_workbench import sites
from openqueue_workbench.admin import access, fleet, flows, insight, runs, schedules

__all__ = ["access", "fleet", "flows", "insight", "runs", "schedules"]

sites.register(admin.site)
