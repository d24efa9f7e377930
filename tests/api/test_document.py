"""The OpenAPI document: served, committed, and the same."""

from __future__ import annotations

import runpy

import pytest

from openqueue.api import document
from tests.docs.pages import DOCS

pytestmark = pytest.mark.django_db


def test_the_committed_document_is_fresh():
    written = (DOCS / "reference" / "openapi.yaml").read_text("utf-8")
    assert written == runpy.run_path(str(DOCS / "_generate.py"))["openapi"](), "run: python docs/_generate.py"


def test_it_is_served_below_the_include_to_whoever_is_known(api):
    answer = api("trigger").get("openapi.json")
    assert answer.json() == document.made() | {"servers": [{"url": "/openqueue"}]}


def test_every_operation_has_a_name_a_summary_and_its_problems():
    operations = [one for path in document.made()["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations) > 20
    assert [one["operationId"] for one in operations if not one["summary"] or not one["tags"]] == []
    closed = [one["operationId"] for one in operations if "401" in one["responses"] and one["security"]]
    assert {one["operationId"] for one in operations} - set(closed) == {"health"}


def test_moments_are_said_to_be_moments():
    run = document.made()["components"]["schemas"]["RunFacts"]["properties"]
    assert run["created_at"] == {"type": "string", "format": "date-time"}
    assert run["finished_at"]["anyOf"][0]["format"] == "date-time"


def test_a_projects_own_settings_do_not_reach_it(settings):
    before = document.made()
    document.made.cache_clear()
    settings.SPECTACULAR_SETTINGS = {"TITLE": "Mine", "SCHEMA_PATH_PREFIX": "/v1", "CAMELIZE_NAMES": True}
    assert document.made() == before
