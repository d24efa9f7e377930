"""What a process that serves no page need not load."""

from __future__ import annotations

import os
import subprocess
import sys

SETUP = """
import sys
import django
django.setup()
from django.contrib import admin
from openqueue_workbench.places import PLACES
assert all(admin.site.is_registered(place.model) for place in PLACES)
print(*sorted(name for name in sys.modules if name.startswith("openqueue")))
"""
PAGES = (
    "openqueue_workbench.pages",
    "openqueue_workbench.frame",
    "openqueue_workbench.drawing",
    "openqueue.api",
)


def test_a_process_that_serves_no_page_loads_none():
    """Django imports the admin in every command: a worker would carry all pages, a third of its start and 8 MB."""
    environment = dict(os.environ, DJANGO_SETTINGS_MODULE="tests.settings")
    done = subprocess.run(
        [sys.executable, "-c", SETUP], env=environment, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "openqueue_workbench.sites" in loaded
    assert [name for name in loaded if name.startswith(PAGES)] == []
