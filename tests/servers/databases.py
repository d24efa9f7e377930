"""The databases of one test session: chosen by the environment, so that child processes find the same ones.

OPENQUEUE_TEST_DATABASE    sqlite (default), postgresql or mariadb
OPENQUEUE_TEST_EACH        set: under pytest-xdist each of its processes has a server of its own, to stop and to break
OPENQUEUE_TEST_FSYNC       off: the session's server does not wait for the disk, as it does by default
OPENQUEUE_TEST_SERVER      URL of the server; when absent the session starts one and sets it
OPENQUEUE_TEST_FOLDER      where SQLite's files are; when absent the session chooses one and sets it
OPENQUEUE_TEST_MORE       JSON, put into each entry of DATABASES: a project's own OPTIONS
OPENQUEUE_TEST_NAME_<ALIAS>  the database to open, for a process that works on a running test's database
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL

ALIASES = {"default": "openqueue", "other": "openqueue_other"}

Server = PostgreSQL | MariaDB
_server: Server | None = None
_folder: Path | None = None


def of(vendor: str) -> dict[str, dict[str, Any]]:
    """Return DATABASES for a vendor; nothing is started yet, but its address is settled."""
    kind = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}.get(vendor)
    if kind is None:
        raise ValueError(f"OPENQUEUE_TEST_DATABASE is {vendor!r}; choose sqlite, postgresql or mariadb")
    return {alias: _with_more(kind(alias)) for alias in ALIASES}


def _with_more(entry: dict[str, Any]) -> dict[str, Any]:
    more = json.loads(os.environ.get("OPENQUEUE_TEST_MORE", "{}"))
    return entry | more | {"OPTIONS": entry.get("OPTIONS", {}) | more.get("OPTIONS", {})}


def start() -> None:
    if _folder is not None:
        _folder.mkdir(mode=0o700)
    if _server is not None:
        _server.open()
    if isinstance(_server, MariaDB):
        for name in ALIASES.values():  # Django's checks ask every alias whether it is MariaDB
            _server.ask(f"CREATE DATABASE {name}")


def stop() -> None:
    if _server is not None:
        _server.close()
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)


def leave() -> None:
    """Have each process that this one starts choose for itself, and nothing here."""
    global _server, _folder
    if _server is not None:
        del os.environ["OPENQUEUE_TEST_SERVER"]
    if _folder is not None:
        del os.environ["OPENQUEUE_TEST_FOLDER"]
    _server = _folder = None


def server() -> Server:
    """Return the session's server, for a test that stops, restarts or cuts it off."""
    if _server is None:
        raise RuntimeError("this process started no server; such a test does not run under pytest-xdist")
    return _server


def address() -> SplitResult:
    """Return where the session's server listens, whichever process started it."""
    return urlsplit(os.environ["OPENQUEUE_TEST_SERVER"])


def environment(names: dict[str, str]) -> dict[str, str]:
    """Return the variables with which another process opens these databases, alias by alias."""
    return {"DJANGO_SETTINGS_MODULE": "tests.settings"} | {
        f"OPENQUEUE_TEST_NAME_{alias.upper()}": name for alias, name in names.items()
    }


def _name(alias: str, otherwise: str) -> str:
    return os.environ.get(f"OPENQUEUE_TEST_NAME_{alias.upper()}", otherwise)


def _postgresql(alias: str) -> dict[str, Any]:
    return _served(alias, PostgreSQL) | {"ENGINE": "django.db.backends.postgresql"}


def _mariadb(alias: str) -> dict[str, Any]:
    return _served(alias, MariaDB) | {
        "ENGINE": "django.db.backends.mysql",
        "TEST": {"CHARSET": "utf8mb4"},
    }


def _served(alias: str, kind: type[Server]) -> dict[str, Any]:
    global _server
    if "OPENQUEUE_TEST_SERVER" not in os.environ:
        _server = kind(durable=os.environ.get("OPENQUEUE_TEST_FSYNC") != "off")
        os.environ["OPENQUEUE_TEST_SERVER"] = _server.url
    url = address()
    return {
        "NAME": _name(alias, ALIASES[alias]),
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.hostname,
        "PORT": url.port,
    }


def _sqlite(alias: str) -> dict[str, Any]:
    global _folder
    if "OPENQUEUE_TEST_FOLDER" not in os.environ:
        _folder = Path(tempfile.gettempdir(), f"openqueue-sqlite-{secrets.token_hex(6)}")
        os.environ["OPENQUEUE_TEST_FOLDER"] = str(_folder)
    folder = Path(os.environ["OPENQUEUE_TEST_FOLDER"])
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _name(alias, ":memory:"),  # outside a test session nothing is left on disk
        # A real file: threads and worker processes must see the same rows as the test.
        "TEST": {"NAME": str(folder / f"{ALIASES[alias]}.sqlite3")},
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
