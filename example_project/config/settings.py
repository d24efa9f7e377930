"""Settings of the example shop: SQLite, files on disk, and OpenQueue with nothing else to install."""

from __future__ import annotations

import os
from pathlib import Path

import django

from config import database

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(
    os.environ.get("SHOP_VAR_DIR", BASE_DIR / "var")
)  # all that the shop writes; delete it to begin anew
VAR_DIR.mkdir(parents=True, exist_ok=True)

SECRET_KEY = "an example's key, good for nothing else"  # noqa: S105  (a demo on the loopback interface)
DEBUG = os.environ.get("SHOP_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "openqueue",
    "openqueue_workbench",
    "shop",
]

OPENQUEUE = {
    "NAMESPACE": "shop",
    "SHUTDOWN_GRACE": 3,  # no payment needs longer, and Ctrl-C should feel like Ctrl-C
}
if redis_url := os.environ.get("OPENQUEUE_REDIS_URL"):
    OPENQUEUE["REDIS"] = redis_url  # every queue on Redis; without it the database carries them
if kafka_brokers := os.environ.get("OPENQUEUE_KAFKA_BROKERS"):
    OPENQUEUE["KAFKA"] = kafka_brokers  # every queue on Kafka, such as 127.0.0.1:9092
if rabbitmq_url := os.environ.get("OPENQUEUE_RABBITMQ_URL"):
    OPENQUEUE["RABBITMQ"] = rabbitmq_url

DATABASES = {
    "default": database.from_url(os.environ.get("DATABASE_URL", ""), default=VAR_DIR / "shop.sqlite3")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",  # in the reader's language, as the browser asks for it
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
TIME_ZONE = "Europe/Berlin"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"

# E-mail goes to files, one per message.
MAIL_DIR = VAR_DIR / "mail"
DEFAULT_FROM_EMAIL = "Leaf & Pot <hello@shop.example>"
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": MAIL_DIR},
        },
    }
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = MAIL_DIR

# The shop's own settings.
SHOP_PRIORITIES = "KAFKA" not in OPENQUEUE  # a log is read in its own order
SHOP_DATA_DIR = BASE_DIR / "data"
SHOP_INVOICE_DIR = VAR_DIR / "invoices"
SHOP_PROVIDER_URL = os.environ.get("SHOP_PROVIDER_URL", "http://127.0.0.1:8090")
SHOP_PROVIDER_PATIENCE = 2.0  # seconds without a byte after which the payment provider counts as silent
