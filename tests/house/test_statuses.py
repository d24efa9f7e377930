"""A status changes in core/transitions and in the store verbs it calls, and nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

MAY_WRITE = ("openqueue/core/transitions", "openqueue/store/")
WRITERS = {
    "update", "aupdate", "create", "acreate", "get_or_create", "aget_or_create", "update_or_create",
    "aupdate_or_create", "Run",
}  # fmt: skip
SQL = re.compile(r"\bSET\b[^;]*\bstatus\b\s*=|INSERT\s+INTO[^;]*\bstatus\b", re.IGNORECASE | re.DOTALL)


def writes(source: str) -> Iterator[int]:
    """Yield the lines on which a status is assigned, handed to a writing verb, or written in SQL."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=targets):
                yield from (target.lineno for target in targets if is_status(target))
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
                yield from [target.lineno] if is_status(target) else []
            case ast.Call(func=func, keywords=keywords):
                name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
                if name in WRITERS and any(keyword.arg == "status" for keyword in keywords):
                    yield node.lineno
            case ast.Constant(value=str(text)) if SQL.search(text):
                yield node.lineno


def is_status(target: ast.expr) -> bool:
    # self.status belongs to a value or an error that reports one; a row is never `self` outside the models.
    return (
        isinstance(target, ast.Attribute)
        and target.attr == "status"
        and not (isinstance(target.value, ast.Name) and target.value.id == "self")
    )


def elsewhere(path: Path) -> bool:
    name = path.as_posix()
    return (
        name.startswith(("openqueue/", "openqueue_workbench/"))
        and not name.startswith(MAY_WRITE)
        and "/migrations/" not in name
    )


def test_a_status_is_written_only_by_transitions_and_the_store():
    found = [
        f"{path}:{line}" for path in tree.files(".py") if elsewhere(path) for line in writes(tree.text(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param("run.status = 'running'", id="assigned"),
        pytest.param("Run.objects.filter(pk=1).update(status=RUNNING)", id="updated"),
        pytest.param("Run(pk=1, status=RUNNING)", id="made"),
        pytest.param("cursor.execute('UPDATE openqueue_run SET version = 2, status = %s')", id="sql"),
    ],
)
def test_a_status_written_elsewhere_is_found(planted: str):
    assert list(writes(planted)) == [1]


@pytest.mark.parametrize(
    "planted", ["Run.objects.filter(status=RUNNING)", "self.status = status", "sql = 'SELECT status FROM x'"]
)
def test_a_status_that_is_read_is_left_alone(planted: str):
    assert list(writes(planted)) == []
