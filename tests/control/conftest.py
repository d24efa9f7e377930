from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from django.core.management import CommandError, call_command

from openqueue.core import post_commit


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
def publisher(transactional_db: None) -> Iterator[None]:
    """The thread that publishes after commit, ended with the test: it would hold on to the database."""
    yield
    post_commit.publisher.flush()
    post_commit.after_fork()
