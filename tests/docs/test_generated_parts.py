"""Parts of pages that are made from the code are as the code is now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, name

GENERATOR = runpy.run_path(str(DOCS / "_generate.py"))


@pytest.mark.parametrize("page", GENERATOR["pages"](), ids=name)
def test_a_generated_part_is_fresh(page: Path):
    text = page.read_text("utf-8")
    assert text == GENERATOR["fresh"](text), "run: python docs/_generate.py"


def test_every_generated_part_stands_somewhere():
    written = "".join(page.read_text("utf-8") for page in GENERATOR["pages"]())
    assert [part for part in GENERATOR["PARTS"] if f"<!-- generated: {part} -->" not in written] == []


def test_the_life_of_a_run_draws_every_arrow():
    from openqueue.states import mermaid

    assert mermaid() in (ROOT / "docs" / "concepts" / "life-of-a-run.md").read_text("utf-8")
