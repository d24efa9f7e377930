from __future__ import annotations

import pytest

from openqueue.control.doctor import sqlite

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
FACTS = {
    "journal_mode": "wal",
    "synchronous": 1,
    "busy_timeout": 5_000,
    "page_count": 100_000,
    "page_size": 4_096,
    "freelist_count": 50_000,
    "version": "3.37.0",
}


def judged(version: tuple[int, ...] = (3, 37, 0), **changed) -> dict[str, str]:
    return {one.id: one.level for one in sqlite.judge(FACTS | changed, version=version)}


def test_a_database_at_every_limit_is_well():
    assert judged() == {}
    assert judged(journal_mode="memory") == {}


@pytest.mark.parametrize(
    ("changed", "id", "level"),
    [
        ({"version": (3, 35, 5)}, "database_version", "error"),
        ({"journal_mode": "delete"}, "journal_mode", "warning"),
        ({"synchronous": 0}, "not_durable", "warning"),
        ({"busy_timeout": 4_999}, "busy_timeout", "warning"),
        ({"freelist_count": 50_001}, "bloat", "info"),
    ],
)
def test_what_is_wrong_is_told(changed, id, level):
    assert judged(**changed) == {id: level}


def test_a_small_file_may_have_free_pages():
    assert judged(page_count=1_000, freelist_count=900) == {}


def test_the_real_database_is_asked():
    facts: dict = {}
    assert list(sqlite.findings(facts)) == []
    assert set(facts) == set(FACTS)
    assert facts["journal_mode"] == "wal"
