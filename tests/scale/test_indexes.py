"""The index rule: none on a column that changes between trigger and settle, and each one names its query."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection

from openqueue import models
from openqueue.store.statements import statement

MODELS = Path(inspect.getfile(models)).parent
NAMING = sorted(path for path in MODELS.glob("*.py") if path.stem != "partial")
KINDS = frozenset({"models.Index", "models.UniqueConstraint", "PartialIndex", "PartialUnique"})
HOT = frozenset({"status", "reason", "attempt", "version", "worker_id", "crash_count", "started_at"})


def test_the_columns_that_a_claim_writes_are_those_the_rule_forbids() -> None:
    for name in ("claim_due", "claim_named"):
        change = re.search(
            r"UPDATE openqueue_run\s+SET (.*?)\s+WHERE", statement("postgresql", name), re.DOTALL
        )
        assert change is not None
        assert set(re.findall(r"(\w+) = ", change[1])) <= HOT


@pytest.mark.postgresql
@pytest.mark.django_db
def test_no_index_on_runs_mentions_what_changes_between_trigger_and_settle() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'openqueue_run'")
        found = dict(cursor.fetchall())
    assert found.keys() == {"openqueue_run_pkey", "openqueue_run_finished"}
    for name, definition in found.items():
        assert not HOT & set(re.findall(r"\w+", definition)), name


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(MODELS.glob("*.py")) if path.stem != "partial"],
    ids=lambda path: path.stem,
)
def test_each_index_is_preceded_by_the_query_that_it_serves(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    for call in [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]:
        if ast.unparse(call.func) in KINDS:
            above = lines[call.lineno - 2].strip()
            assert above.startswith("#"), f"{path.name}:{call.lineno} does not say which query it serves"
            assert above.endswith((".", "?")), f"{path.name}:{call.lineno}: a sentence"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "model", list(apps.get_app_config("openqueue").get_models()), ids=lambda model: model.__name__
)
def test_no_index_comes_unasked_with_a_field(model) -> None:
    asked = {made.name for made in (*model._meta.indexes, *model._meta.constraints)}
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    key = model._meta.pk.column
    for name, facts in found.items():
        if (facts["index"] or facts["unique"]) and facts["columns"] != [key]:
            assert name in asked, f"{name} on {facts['columns']} serves no query that we know"
