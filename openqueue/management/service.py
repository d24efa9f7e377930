"""A command that goes on until it is stopped, and answers no request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.checks import Tags
from django.core.checks.registry import registry
from django.core.management.base import BaseCommand

LEFT_OUT: Final = {Tags.urls, Tags.database}
"""Checks of URLs import every view of the project and what they stand on: megabytes that each process would keep.
Those of databases Django runs only where it is told which."""


class Service(BaseCommand):
    """Looks for mistakes before it begins, as any command, but not in URLs."""

    def get_check_kwargs(self, options: Mapping[str, Any]) -> Any:
        """Name the tags of the checks that are run."""
        return {"tags": sorted({str(tag) for tag in registry.tags_available()} - LEFT_OUT)}
