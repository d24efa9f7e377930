"""The search of runs: its grammar, what each field means, and pages of what is found."""

from __future__ import annotations

from openqueue.control.search.counts import Counted, count
from openqueue.control.search.grammar import Term, parse, written
from openqueue.control.search.pages import Page, page
from openqueue.control.search.problem import Problem
from openqueue.control.search.reading import KNOWN, Sought, read

__all__ = [
    "KNOWN",
    "Counted",
    "Page",
    "Problem",
    "Sought",
    "Term",
    "count",
    "page",
    "parse",
    "read",
    "written",
]
