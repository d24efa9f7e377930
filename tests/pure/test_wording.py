"""Sentences of the engine: English everywhere, and in its reader's language where a face asks for that."""

from __future__ import annotations

import copy
import json

import pytest
from django.utils import translation

from openqueue.errors import AlertInvalid, RunLocked, UnclearQueue, UnclearSearch, WrongState
from openqueue.wording import Said, in_language
from openqueue.wording import say as _

ENDED = _("The run has ended already.")


def in_german(told: object) -> str:
    with translation.override("de"):
        return in_language(told)


def test_a_sentence_is_english_text_whatever_language_is_active():
    with translation.override("de"):
        said = _("There is no queue {queue!r}.", queue="mail")
    assert said == "There is no queue 'mail'."
    assert json.dumps(said) == json.dumps("There is no queue 'mail'.")
    assert isinstance(said, Said)


def test_a_face_has_it_in_the_language_of_its_reader():
    assert in_german(_("There is no queue {queue!r}.", queue="mail")) == "Es gibt keine Warteschlange 'mail'."
    assert in_language(_("There is no queue {queue!r}.", queue="mail")) == "There is no queue 'mail'."


def test_a_sentence_in_a_sentence_is_translated_as_well():
    said = _("{message} It is {status} now.", message=ENDED, status="completed")
    assert in_german(said) == "Der Lauf ist schon zu Ende. Sein Zustand ist jetzt completed."


def test_what_looks_like_a_placeholder_in_a_fact_stays_as_it_is():
    assert (
        in_german(_("There is no queue {queue!r}.", queue="{queue}"))
        == "Es gibt keine Warteschlange '{queue}'."
    )


@pytest.mark.parametrize(
    ("error", "german"),
    [
        (
            UnclearQueue(_("There is no queue {queue!r}.", queue="mail")),
            "Es gibt keine Warteschlange 'mail'.",
        ),
        (WrongState(ENDED, code="already_finished"), "Der Lauf ist schon zu Ende."),
        (
            AlertInvalid([("url", _("must be a URL")), ("name", "is odd")]),
            "url muss eine URL sein; name is odd",
        ),
        (
            UnclearSearch([("since", _("{value} is not a whole number.", value="x"))]),
            "x ist keine ganze Zahl.",
        ),
        (ValueError("not ours"), "not ours"),
        (RunLocked(), RunLocked.default_message()),
    ],
)
def test_an_error_is_said_as_its_sentence_is(error: Exception, german: str):
    assert in_german(error) == german


def test_a_copy_remembers_as_much():
    assert in_german(copy.deepcopy(ENDED)) == "Der Lauf ist schon zu Ende."
