"""An error's docstring is its message: it says what happened, and then what to do about it."""

from __future__ import annotations

import inspect
import re

import pytest

from openqueue import errors

PUBLIC = sorted(
    (
        kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.OpenQueueError)
        and kind is not errors.OpenQueueError
        and not name.startswith("_")
    ),
    key=lambda kind: kind.__name__,
)


def sentences(docstring: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.?!])\s+", " ".join(docstring.split())) if part]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_an_error_says_what_happened_and_what_to_do(kind: type[errors.OpenQueueError]):
    assert kind.__doc__, "no docstring of its own"
    assert len(sentences(kind.__doc__)) >= 2, f"only says what happened: {kind.__doc__}"


def test_every_error_is_drawn_in_the_tree():
    assert [kind.__name__ for kind in PUBLIC if kind.__name__ not in (errors.__doc__ or "")] == []
