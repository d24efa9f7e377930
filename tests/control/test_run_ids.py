from __future__ import annotations

from uuid import UUID

import pytest

from openqueue.control import run_ids
from openqueue.errors import UnclearRun
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db

FIRST = UUID("01990000-aaaa-7000-8000-000000000001")
SECOND = UUID("01990000-aabb-7000-8000-000000000002")


def test_a_whole_id_is_not_looked_up(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert run_ids.resolve([str(FIRST), FIRST.hex.upper()]) == [FIRST, FIRST]


def test_a_beginning_means_the_one_run_that_begins_like_it():
    make_run(id=FIRST)
    make_run(id=SECOND)
    assert run_ids.one("01990000-aaa") == FIRST
    assert run_ids.one("01990000AABB") == SECOND


def test_a_beginning_of_two_runs_is_answered_with_both():
    make_run(id=FIRST)
    make_run(id=SECOND)
    with pytest.raises(
        UnclearRun, match=rf"begins the ids of {FIRST} \(app.add\), {SECOND} .*more characters"
    ):
        run_ids.one("01990000")


def test_a_beginning_of_no_run_is_refused():
    with pytest.raises(UnclearRun, match="No run's id begins with '01990000'"):
        run_ids.one("01990000")


@pytest.mark.parametrize("text", ["", "0199000", "0199000x", "'; DROP", "0" * 33, "01990000%"])
def test_what_is_no_beginning_of_an_id_is_refused(text):
    with pytest.raises(UnclearRun, match="first 8 hexadecimal characters"):
        run_ids.one(text)
