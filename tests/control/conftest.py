from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue.core import post_commit
from openqueue.testing.plugin import queued_runs as queued_runs


class Answer(NamedTuple):
    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def manage() -> Callable[..., Answer]:
    """Run a command in this process; what it raises to end with a code is part of the answer."""

    def manage(*words: Any) -> Answer:
        out, code, error = io.StringIO(), 0, ""
        try:
            call_command(*(str(word) for word in words), stdout=out)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        except CommandError as refusal:
            code, error = refusal.returncode, str(refusal)
        return Answer(code, out.getvalue(), error)

    return manage


@pytest.fixture
def statements() -> Callable[[], AbstractContextManager[list[str]]]:
    """Gather the statements that read or write; those that keep transactions and limits do not count."""

    @contextmanager
    def statements() -> Iterator[list[str]]:
        sent: list[str] = []
        with CaptureQueriesContext(connection) as captured:
            yield sent
        aside = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "SET ", "SELECT CURRENT_SETTING")
        sent += [query["sql"] for query in captured if not query["sql"].upper().startswith(aside)]

    return statements


@pytest.fixture
def without_table(db: None) -> Iterator[Callable[[str], None]]:
    """Take a table away until the test ends; MariaDB would not bring it back with the transaction."""
    taken: list[str] = []

    def without_table(name: str) -> None:
        taken.append(name)
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {name} RENAME TO {name}_away")

    yield without_table
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            for name in taken:
                cursor.execute(f"ALTER TABLE {name}_away RENAME TO {name}")


@pytest.fixture
def publisher(transactional_db: None) -> Iterator[None]:
    """The thread that publishes after commit, ended with the test: it would hold on to the database."""
    yield
    post_commit.publisher.flush()
    post_commit.after_fork()
