"""The languages of the Workbench and of what the engine says there: whole, true to the English, compiled, and heard."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import translation

import openqueue
import openqueue_workbench
from tests.control.builders import make_run
from tests.workbench.catalogues import entries, marked
from tests.workbench.conftest import text, to

PACKAGES: Final = {
    Path(openqueue_workbench.__file__).parent: 1_000,
    Path(openqueue.__file__).parent: 150,
}
"""What has catalogues, and how many messages it marks at least."""
SAID: Final = {
    "de": {"overview": "Übersicht", "day": "1. März 2026", "seconds": "1,2 s", "completed": "Abgeschlossen"},
}
"""The languages, and what their pages say."""
KEPT: Final = re.compile(r"%\(\w+\)\w|%[%a-z]|\{\w*(?:![rs])?(?::[^{}\s]*)?\}|`[^`]*`|</?\w[^>]*>|^\s|\s$")
"""What stands in a translation as it stands in the English: placeholders, commands, markup, spaces at an end."""

in_every_language = pytest.mark.parametrize("language", SAID)
of_each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


def catalogue(package: Path, language: str) -> Path:
    return package / "locale" / language / "LC_MESSAGES" / "django.po"


def kept(said: str) -> list[str]:
    return sorted(KEPT.findall(said))


@of_each_package
def test_every_language_is_looked_at_here(package: Path):
    assert {path.name for path in (package / "locale").iterdir()} == set(SAID)


@of_each_package
@in_every_language
def test_every_marked_text_is_in_the_catalogue_and_nothing_else(package: Path, language: str):
    held = {entry.key for entry in entries(catalogue(package, language))}
    wanted = marked(package)
    assert len(wanted) > PACKAGES[package]
    assert sorted(wanted - held) == []
    assert sorted(held - wanted) == []


@of_each_package
@in_every_language
def test_every_message_is_translated_and_none_is_a_guess(package: Path, language: str):
    assert [
        one.key for one in entries(catalogue(package, language)) if one.is_fuzzy or not all(one.forms)
    ] == []


@of_each_package
@in_every_language
def test_placeholders_and_markup_are_those_of_the_english(package: Path, language: str):
    for one in entries(catalogue(package, language)):
        english = [one.key[1], *[one.plural] * (len(one.forms) - 1)]
        assert list(map(kept, one.forms)) == list(map(kept, english)), one.key


@of_each_package
@in_every_language
def test_the_compiled_catalogue_says_what_the_written_one_says(package: Path, language: str):
    with catalogue(package, language).with_suffix(".mo").open("rb") as file:
        compiled = vars(gettext.GNUTranslations(file))["_catalog"]
    compiled.pop("")
    written = {}
    for one in entries(catalogue(package, language)):
        name = "\x04".join(part for part in one.key if part)
        for number, form in enumerate(one.forms):
            written[(name, number) if one.plural else name] = form
    assert compiled == written


@pytest.fixture
def own_language() -> Iterator[None]:
    """The middleware leaves a thread in the language of its last request; other tests are not to find it there."""
    with translation.override(None):
        yield


@pytest.mark.django_db
@pytest.mark.usefixtures("own_language")
@in_every_language
def test_a_page_answers_in_the_language_that_the_browser_asks_for(
    language: str, admin_client: Client, settings: Any
):
    said = SAID[language]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    run = make_run(status="completed", at=at, seconds=1.24)
    asked = {"accept-language": language}
    overview = text(admin_client.get(to("overview"), headers=asked))
    assert f'<html lang="{language}"' in overview
    assert said["overview"] in overview
    page = text(admin_client.get(to("run_change", run), headers=asked))
    assert said["day"] in page
    assert said["seconds"] in page
    assert said["completed"] in page


@pytest.mark.django_db
@pytest.mark.usefixtures("own_language")
def test_what_the_engine_says_is_said_in_the_language_of_the_page(admin_client: Client, settings: Any):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    asked = {"accept-language": "de"}
    run = make_run(status="completed", at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
    refused = admin_client.post(
        to("run_change", run), {"act": "cancel", "confirmed": "1"}, headers=asked, follow=True
    )
    assert "Der Lauf ist schon zu Ende." in text(refused, 409)
    search = text(admin_client.get(to("run_changelist"), {"q": "que:mail"}, headers=asked))
    assert "Unbekanntes Feld `que:`." in search
    english = admin_client.post(to("run_change", run), {"act": "cancel", "confirmed": "1"}, follow=True)
    assert "The run has ended already." in text(english, 409)
