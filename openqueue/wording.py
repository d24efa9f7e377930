"""Sentences that remember how they were made, so that a face can say them in its reader's language.

The engine says everything in English: to programs, to logs, on a terminal. A face for people, such as the Workbench,
asks for the same sentence in the language that is active.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import translation

from openqueue.errors import OpenQueueError


class Said(str):
    """An English sentence, with the template and the facts that it was made of."""

    template: str
    facts: Mapping[str, Any]


def say(template: str, /, **facts: Any) -> Said:
    """Return a sentence of these facts.

    Modules import it as ``_``: that is the name by which gettext's tools find what is to be translated.

    Args:
        template: in the form of ``str.format``.
        facts: what the template names; a ``Said`` among them is translated as well.
    """
    said = Said(template.format(**facts))
    said.template, said.facts = template, facts
    return said


def in_language(told: object) -> str:
    """Return what was said, or what an error says, in the language that is active; English where no translation is."""
    if isinstance(told, Said):
        facts = {
            name: in_language(fact) if isinstance(fact, Said) else fact for name, fact in told.facts.items()
        }
        return translation.gettext(told.template).format(**facts)
    if isinstance(told, OpenQueueError):
        return told.in_words(in_language)
    if isinstance(told, BaseException) and len(told.args) == 1:
        return in_language(told.args[0])
    return str(told)
