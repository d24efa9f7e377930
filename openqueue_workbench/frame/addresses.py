"""Addresses of pages, within the admin site that a reader is in."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.urls import NoReverseMatch, reverse

ANY_RUN: Final = "00000000-0000-7000-8000-000000000000"


class Addresses:
    """The addresses of one admin site."""

    def __init__(self, site: AdminSite) -> None:
        self.site = site.name
        self._of_a_run = ""

    def of(self, page: str, *args: Any, **query: Any) -> str:
        """Return the address of a page, such as ``run`` or ``run_change``; a query without what is None or empty."""
        name = page if "_" in page else f"{page}_changelist"
        address = reverse(f"admin:openqueue_{name}", args=args, current_app=self.site)
        wanted = {key: value for key, value in query.items() if value not in (None, "")}
        return f"{address}?{urlencode(wanted, doseq=True)}" if wanted else address

    def known(self, page: str, *args: Any, **query: Any) -> str:
        """Return the address of a page that a site may lack; empty where it does."""
        try:
            return self.of(page, *args, **query)
        except NoReverseMatch:
            return ""

    def run(self, run: Any, **query: Any) -> str:
        """Return the address of a run."""
        if query:
            return self.of("run_change", run, **query)
        # Not reversed anew: strips of past runs name a thousand.
        if not self._of_a_run:
            self._of_a_run = self.of("run_change", ANY_RUN)
        return self._of_a_run.replace(ANY_RUN, str(run))

    def runs(self, **search: Any) -> str:
        """Return the list of the runs that a search finds: its text as ``q``, ``period`` and the like."""
        return self.of("run", **search)

    def queue(self, name: str) -> str:
        """Return the address of a queue."""
        return self.of("queue_change", name)
