"""The project that the tests run in; OPENQUEUE_TEST_DATABASE chooses sqlite (default) or postgresql."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.servers import databases

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "example_project"))

SECRET_KEY = "only-for-tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"  # not UTC, so that a moment without its zone shows
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # of Django 6.1 and later
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "openqueue",
    "openqueue_workbench",
    "tests.app",
    "shop",
]
TASKS = {"default": {"BACKEND": "openqueue.contrib.django_tasks.OpenQueueBackend", "QUEUES": []}}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Two aliases, because a project may keep OpenQueue's tables beside its own or apart from them.
DATABASES = databases.of(os.environ.get("OPENQUEUE_TEST_DATABASE", "sqlite"))

# A process that a test starts works with that test's settings.
if "OPENQUEUE_TEST_SETTINGS" in os.environ:
    OPENQUEUE = json.loads(os.environ["OPENQUEUE_TEST_SETTINGS"])
    SHOP_PRIORITIES = "KafkaRuntime" not in os.environ["OPENQUEUE_TEST_SETTINGS"]
