from __future__ import annotations

import logging
from uuid import uuid4

import pytest

from openqueue.control import run_logs
from openqueue.errors import UnclearRun
from openqueue.store import store
from openqueue.types import LogLine
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    run, other = make_run(queue="mail", status="running"), make_run()
    lines = [
        LogLine(run, 1, logging.INFO, "rendering Invoice 7", 3.0),
        LogLine(run, 1, logging.ERROR, "100% refused", 2.0),
        LogLine(other, 1, logging.ERROR, "of another run", 2.0),
        LogLine(run, 2, logging.WARNING, "rendering invoice 7 again", 1.0),
    ]
    store().note(progress=[], logs=lines)
    return run


def texts(run, **wanted):
    return [line.text for line in run_logs.find(run, **wanted).lines]


def test_lines_are_found_by_attempt_level_and_text(run):
    assert texts(run) == ["rendering Invoice 7", "100% refused", "rendering invoice 7 again"]
    assert texts(run, attempt=2) == ["rendering invoice 7 again"]
    assert texts(run, level=logging.WARNING) == ["100% refused", "rendering invoice 7 again"]
    assert texts(run, text="INVOICE") == ["rendering Invoice 7", "rendering invoice 7 again"]
    assert texts(run, text="0%") == ["100% refused"]
    assert texts(run, text="_") == []
    assert texts(run, attempt=1, level=logging.ERROR, text="refused") == ["100% refused"]


def test_pages_go_on_by_key_and_whoever_follows_gets_what_is_new(run, django_assert_num_queries):
    with django_assert_num_queries(2):
        page = run_logs.find(run, limit=2)
    assert [line.text for line in page.lines] == ["rendering Invoice 7", "100% refused"]
    page = run_logs.find(run, limit=2, after=page.next)
    assert ([line.text for line in page.lines], page.next) == (["rendering invoice 7 again"], None)
    assert (followed := run_logs.find(run, after=page.last)).lines == []
    store().note(progress=[], logs=[LogLine(run, 2, logging.INFO, "sent", 0.0)])
    assert [line.text for line in run_logs.find(run, after=followed.last).lines] == ["sent"]


def test_a_run_that_is_not_there_or_not_seen_has_no_log(run):
    assert texts(run, queues=["mail"])
    for unseen in (lambda: run_logs.find(uuid4()), lambda: run_logs.find(run, queues=["other"])):
        with pytest.raises(UnclearRun):
            unseen()
