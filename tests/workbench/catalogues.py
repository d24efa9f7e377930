"""What the Workbench marks for translation, and what its catalogues say: read without the tools of gettext."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.utils.translation.template import templatize

Key = tuple[str, str]
"""The context, empty where there is none, and the English text."""

MARKER: Final = re.compile(r"_|n?p?gettext(?:_lazy)?")
TEXT: Final = r"""u?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
TEMPLATE_CALL: Final = re.compile(rf"\b(_|n?p?gettext)\(({TEXT}(?:, {TEXT})*)")
FIELD: Final = re.compile(r'^(msgctxt|msgid|msgid_plural|msgstr)(?:\[\d\])? ((?:".*"\n?)+)', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One message of a catalogue."""

    key: Key
    plural: str
    """The English plural; empty where the message has none."""
    forms: list[str]
    """The translation: one text, or one for each plural form of the language."""
    is_fuzzy: bool


def marked(package: Path) -> set[Key]:
    """Return what the templates and modules of a package mark."""
    calls = [call for path in package.rglob("*.py") for call in _in_module(path.read_text("utf-8"))]
    for path in (package / "templates").rglob("*.html"):
        calls += _in_template(path.read_text("utf-8"))
    return {_key(name, texts) for name, texts in calls}


def _key(name: str, texts: list[str]) -> Key:
    context, text = texts[:2] if "pgettext" in name else ("", texts[0])
    return context, text


def _in_module(source: str) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and MARKER.fullmatch(node.func.id):
            # What is no text by itself cannot be found by any tool: the first one must be.
            texts = [ast.literal_eval(one) for one in node.args if isinstance(one, ast.Constant | ast.BinOp)]
            assert texts, f"line {node.lineno} marks what is not written there: {ast.unparse(node)}"
            yield node.func.id, texts


def _in_template(source: str) -> Iterator[tuple[str, list[str]]]:
    for name, texts in TEMPLATE_CALL.findall(templatize(source)):
        yield name, list(ast.literal_eval(f"({texts},)"))


def entries(catalogue: Path) -> list[Entry]:
    """Return what a .po says, but for its head."""
    blocks = re.split(r"\n\n+", catalogue.read_text("utf-8"))
    return [entry for entry in map(_entry, blocks) if entry.key[1]]


def _entry(block: str) -> Entry:
    fields: dict[str, list[str]] = {"msgctxt": [], "msgid": [], "msgid_plural": [], "msgstr": []}
    for name, text in FIELD.findall(block):
        fields[name].append(ast.literal_eval(f"({text})"))
    return Entry(
        key=("".join(fields["msgctxt"]), "".join(fields["msgid"])),
        plural="".join(fields["msgid_plural"]),
        forms=fields["msgstr"],
        is_fuzzy=bool(re.search(r"^#,.*\bfuzzy\b", block, re.MULTILINE)),
    )
