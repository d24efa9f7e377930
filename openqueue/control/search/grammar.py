"""The grammar of a search: ``field:value``, ``field:"two words"``, ``-field:value``, a comma for or, and bare words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

FIELD: Final = re.compile(r"args\.[^\s:,\"]+:|[a-z][a-z0-9_]*:")
QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
"""A quote that is not closed ends with the text."""
PLAIN_VALUE: Final = re.compile(r"[^\s,]*")
PLAIN_WORD: Final = re.compile(r"\S*")
ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
SPLITS_VALUE: Final = re.compile(r'\s|,|\A"')
SPLITS_WORD: Final = re.compile(rf'\s|\A["-]|\A(?:{FIELD.pattern})')
"""What must stand in quotes."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; a search holds where all of its terms do."""

    field: str
    """Empty for a bare word."""
    values: tuple[str, ...]
    """Any of them; none where nothing stood behind the colon."""
    negated: bool = False


def parse(text: str) -> list[Term]:
    """Return the terms of a text. Never raises: whether fields and values make sense is told by ``read``."""
    terms: list[Term] = []
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if at >= len(text):
            return terms
        negated = text[at] == "-" and text[at + 1 : at + 2].strip() != ""
        at += negated
        if found := FIELD.match(text, at):
            values, at = _values(text, found.end())
            terms.append(Term(found[0][:-1], tuple(values), negated))
            continue
        word, at = _value(text, at, plain=PLAIN_WORD)
        if word:
            terms.append(Term("", (word,), negated))


def written(terms: Iterable[Term]) -> str:
    """Return the text that ``parse`` reads as these terms; the same for every spelling of a search."""
    return " ".join(_written(term) for term in terms)


def _values(text: str, at: int) -> tuple[list[str], int]:
    values = []
    while True:
        value, at = _value(text, at, plain=PLAIN_VALUE)
        if value:
            values.append(value)
        if text[at : at + 1] != ",":
            return values, at
        at += 1


def _value(text: str, at: int, *, plain: re.Pattern[str]) -> tuple[str, int]:
    if found := QUOTED.match(text, at):
        return ESCAPE.sub(r"\1", found[1]), found.end()
    found = plain.match(text, at)
    return (found[0], found.end()) if found else ("", at)


def _written(term: Term) -> str:
    sign = "-" if term.negated else ""
    if term.field:
        values = ",".join(_quoted(value, if_any=SPLITS_VALUE) for value in term.values)
        return f"{sign}{term.field}:{values}"
    return sign + " ".join(_quoted(value, if_any=SPLITS_WORD) for value in term.values)


def _quoted(value: str, *, if_any: re.Pattern[str]) -> str:
    if not if_any.search(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
