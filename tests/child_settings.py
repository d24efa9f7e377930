"""The tests' project as far as a body in a child needs it: it starts in half the time."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403

INSTALLED_APPS = ["openqueue", "tests.app"]
MIDDLEWARE: list[str] = []

if folder := os.environ.get("OPENQUEUE_TEST_PAYLOADS"):
    # As the fixture of the test that set it has them.
    STORAGES = {
        "payloads": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": folder},
        }
    }
    OPENQUEUE = {"LARGE_PAYLOADS": "payloads"}
