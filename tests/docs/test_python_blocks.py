"""Every block of Python in the documentation is executed; the blocks of a page share a namespace."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import re
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings as project_settings
from django.db import transaction
from django.test import SimpleTestCase
from django.utils.module_loading import import_string

from openqueue.checks import SQLITE_OPTIONS
from openqueue.conf import Reader
from openqueue.testing import QueuedRuns
from openqueue.testing.conformance import RuntimeConformance
from tests.docs.conftest import working
from tests.docs.pages import DOCS, PAGES, Block, blocks, name

SETTINGS = {"OPENQUEUE", "DATABASES", "INSTALLED_APPS", "DATABASE_ROUTERS"}
FOLLOWED = DOCS / "quickstart.md"
"""Its own test does what it says, in a project of its own."""
WORKERLESS = {DOCS / "guides" / "testing-your-tasks.md"}
"""Its tests start the worker themselves."""
SERVED = {DOCS / "guides" / "client.md"}
"""It talks to the API."""
TASK = "from openqueue import task\n@task\ndef double(number: int) -> int:\n    return 2 * number\n"
SAID = re.compile(r"^ *print\(.*\)  # (?P<said>.+)$", re.MULTILINE)
DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

RUN = [page for page in PAGES if page != FOLLOWED and blocks(page, "python", "pycon")]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_code_of_a_page_runs(page: Path, module: ModuleType, request: pytest.FixtureRequest):
    parts = blocks(page, "python", "pycon")
    if page not in WORKERLESS and not all(is_settings(block) for block in parts):
        request.getfixturevalue("worker")
    if page in SERVED:
        request.getfixturevalue("served")
    for block in parts:
        if is_settings(block):
            check_settings(block, request.getfixturevalue("project"))
        elif block.language == "pycon":
            check_dialogue(block, module)
        else:
            check_script(block, module)
    check_tests(module)


def is_settings(block: Block) -> bool:
    if block.language != "python":
        return False
    assigned: set[str] = set()
    for node in ast.parse(block.text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        assigned |= {
            found.id
            for target in targets
            if target
            for found in ast.walk(target)
            if isinstance(found, ast.Name)
        }
    return bool(assigned & SETTINGS)


def execute(block: Block, namespace: dict[str, Any]) -> str:
    """Run a block as if it stood in its page, so that a traceback names the line there; return what it printed."""
    code = compile("\n" * (block.line - 1) + block.text, name(block.page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return printed.getvalue()


def check_script(block: Block, module: ModuleType) -> None:
    said = SAID.findall(block.text)
    printed = execute(block, vars(module))
    if said:
        assert printed.splitlines() == said


def check_dialogue(block: Block, module: ModuleType) -> None:
    test = doctest.DocTestParser().get_doctest(
        block.text, vars(module), name(block.page), block.page.name, block.line
    )
    report = io.StringIO()
    doctest.DocTestRunner(optionflags=DOCTEST).run(test, out=report.write, clear_globs=False)
    assert not report.getvalue(), report.getvalue()


def check_settings(block: Block, project: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"INSTALLED_APPS": [], "DATABASES": dict(project_settings.DATABASES)}
    execute(block, namespace)
    project.setattr(project_settings, "DATABASES", project_settings.DATABASES | namespace["DATABASES"])
    reader = Reader(namespace.get("OPENQUEUE", {}))
    config = reader.read()
    assert reader.problems == []
    for path in [runtime.backend for runtime in config.runtimes.values()] + namespace.get(
        "DATABASE_ROUTERS", []
    ):
        assert import_string(path)
    for database in namespace["DATABASES"].values():
        if "sqlite" in database["ENGINE"] and "OPTIONS" in database:
            assert database["OPTIONS"] == ast.literal_eval(SQLITE_OPTIONS)


def check_tests(module: ModuleType) -> None:
    """Run the test cases that a page defines."""
    cases = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, SimpleTestCase)
        and value.__module__ == module.__name__
    ]
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
    result = unittest.TestResult()
    with contextlib.redirect_stdout(io.StringIO()):
        suite.run(result)
    assert result.wasSuccessful(), [text for _, text in result.errors + result.failures]
    assert result.testsRun >= len(cases)
    for said, value in list(vars(module).items()):
        if said.startswith("test_") and value.__module__ == module.__name__:
            with transaction.atomic(), QueuedRuns() as runs:  # as the fixture that it asks for
                value(runs)
                transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_the_runtime_that_the_reader_writes_carries_runs(module: ModuleType, settings: Any):
    block, suite = blocks(DOCS / "contributing" / "write-a-runtime.md", "python")
    execute(block, vars(module))
    execute(suite, vars(module))
    assert issubclass(module.TestListRuntime, RuntimeConformance)
    execute(Block(page=block.page, line=1, language="python", text=TASK), vars(module))
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": "shop.docs.ListRuntime"}}}
    with working():
        runs = module.double.trigger_many([{"number": n} for n in range(20)])
        assert [run.wait(timeout=20) for run in runs] == [2 * n for n in range(20)]


def test_every_page_with_python_is_run():
    assert len(RUN) > 15
    assert blocks(FOLLOWED, "python")


def test_no_code_hides_behind_a_name_that_is_not_run():
    known = {"python", "pycon", "console", "ini", "yaml", "text", "md", "mermaid"}
    unknown = [
        f"{name(page)}:{block.line}: {block.language}"
        for page in PAGES
        for block in blocks(page)
        if block.language not in known and not block.language.startswith("{")
    ]
    assert unknown == []
