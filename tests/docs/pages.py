"""The pages of the documentation and the blocks of code in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"^(?P<fence>```+|:::+)(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE
)
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
READMES = [ROOT / "README.md", ROOT / "example_project" / "README.md"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    """Of its first line of code, from 1."""
    language: str
    text: str

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0]


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of a page, in order, of these languages or of all."""
    text = page.read_text("utf-8")
    if django.VERSION < (
        6,
    ):  # there its readers take the backport, as the page of Django's tasks tells them to
        text = text.replace("from django.tasks ", "from django_tasks ")
    found = []
    for match in FENCE.finditer(text):
        info = match["info"].strip()
        if info in languages or not languages:
            line = text.count("\n", 0, match.start("text")) + 1
            found.append(Block(page=page, line=line, language=info, text=match["text"]))
    return found


def commands(page: Path) -> list[tuple[int, list[str]]]:
    """Return what a page tells the reader to type, as (line, words)."""
    found = []
    for block in blocks(page, "console"):
        for number, line in enumerate(block.text.splitlines()):
            if line.startswith("$ "):
                found.append((block.line + number, shlex.split(line[2:], comments=True)))
    return found


def name(page: Path) -> str:
    """Return a page's name for a test's id."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its blocks of code; directives and generated parts stay."""
    return FENCE.sub(
        lambda found: found[0] if found["info"].strip().startswith("{") else "", page.read_text("utf-8")
    )
