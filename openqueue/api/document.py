"""The OpenAPI document, made by drf-spectacular of the routes, and of nothing that a project sets for its own."""

from __future__ import annotations

import threading
from functools import cache
from importlib import import_module
from typing import Any, Final, cast

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings

from openqueue.api.description import SCHEMES

SETTINGS: Final[dict[str, Any]] = {
    "TITLE": "OpenQueue",
    "DESCRIPTION": "Runs, queues, tasks and workers of one OpenQueue. Closed by default; errors are RFC 9457 problems.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "TOS": None,
    "CONTACT": {},
    "LICENSE": {},
    "SERVERS": [],
    "TAGS": [],
    "EXTERNAL_DOCS": {},
    "SECURITY": [],
    "WEBHOOKS": [],
    "EXTENSIONS_INFO": {},
    "EXTENSIONS_ROOT": {},
    "APPEND_COMPONENTS": {"securitySchemes": SCHEMES},
    "PREPROCESSING_HOOKS": [],
    "POSTPROCESSING_HOOKS": [],
    "SCHEMA_PATH_PREFIX": "",
    "SCHEMA_PATH_PREFIX_TRIM": False,
    "SCHEMA_PATH_PREFIX_INSERT": "",
    "SORT_OPERATIONS": True,
    "CAMELIZE_NAMES": False,
}
_lock: Final = threading.Lock()


@cache
def made() -> dict[str, Any]:
    """Return the document, with paths below the include; it stays as it is while the process lives."""
    with _lock, patched_settings(SETTINGS):
        generator: Any = cast(Any, SchemaGenerator)(patterns=import_module("openqueue.api.urls").urlpatterns)
        document: dict[str, Any] = generator.get_schema(request=None, public=True)
    return document
