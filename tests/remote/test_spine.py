"""A worker over HTTP from its definition to the end of its runs: what each request does to the row."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from openqueue import trigger
from openqueue.models import Claim, Run, RunEvent, RunLog
from tests.remote.program import TASK, Remote, answer_of, kinds

pytestmark = pytest.mark.django_db


def test_a_defined_task_is_triggered_by_name_claimed_and_completed(remote: Remote):
    run = trigger(TASK, {"path": "a.png", "width": 3})
    (work,) = remote.claim()
    assert (work["run"], work["attempt"], work["payload"]) == (str(run.id), 1, {"path": "a.png", "width": 3})
    answer = remote.complete(work, {"size": 9})
    assert answer.json()["answers"] == [
        {"run": str(run.id), "attempt": 1, "accepted": True, "status": "completed", "code": ""}
    ]
    row = Run.objects.get(pk=run.id)
    assert (row.status, row.result, row.worker_id) == ("completed", {"size": 9}, UUID(remote.id))
    assert kinds(run.id) == ["triggered", "started", "completed"]
    assert not Claim.objects.exists()


def test_a_worker_is_listed_with_its_language_beside_the_others(remote: Remote, api: Any):
    (shown,) = api("read").get("workers").json()["workers"]
    assert (shown["id"], shown["language"], shown["queues"]) == (remote.id, "test", ["media"])


def test_a_failed_attempt_comes_again_after_its_backoff_until_none_is_left(remote: Remote):
    run = trigger(TASK, {"path": "a.png"})
    (work,) = remote.claim()
    assert answer_of(remote.fail(work, type="IOError")) == (True, "retrying", "")
    row = Run.objects.select_related("outbox").get(pk=run.id)
    assert row.error == {"type": "IOError", "message": "no such file", "traceback": ""}
    assert 6 < (row.outbox.due_at - row.started_at).total_seconds() < 9
    for status in ("retrying", "failed"):
        row.outbox.__class__.objects.update(ready=True)
        (work,) = remote.claim()
        assert answer_of(remote.fail(work)) == (True, status, "")
    row = Run.objects.get(pk=run.id)
    assert (row.status, row.reason, row.attempt) == ("failed", "error", 3)


def test_progress_and_log_lines_are_kept_with_the_run(remote: Remote):
    run = trigger(TASK, {"path": "a.png"})
    (work,) = remote.claim()
    told = {"lease": work["lease"], "percent": 40, "message": "half"}
    kept = [remote.say("progress", told).json()["answers"][0]["kept"] for _ in range(2)]
    assert kept == [True, False]  # one a second
    assert [e.data for e in RunEvent.objects.filter(run_id=run.id, kind="progress")] == [
        {"percent": 40.0, "message": "half"}
    ]
    lines = [{"text": "first"}, {"text": "x" * 10_000, "level": 40, "age": 2.5}]
    assert remote.say("logs", {"lease": work["lease"], "lines": lines}).json()["answers"][0]["kept"]
    first, second = RunLog.objects.filter(run_id=run.id).order_by("pk")
    assert (first.text, first.level, second.level) == ("first", 20, 40)
    assert len(second.text.encode()) == 8192
    assert 2 < (first.at - second.at).total_seconds() < 3


def test_of_more_lines_than_a_thousand_the_rest_is_left_out_and_says_so(remote: Remote):
    run = trigger(TASK, {"path": "a.png"})
    (work,) = remote.claim()
    for count, kept in ((999, True), (1, True), (2, False), (1, False)):
        lines = {"lease": work["lease"], "lines": [{"text": "line"}] * count}
        assert remote.say("logs", lines).json()["answers"][0]["kept"] is kept
    texts = list(RunLog.objects.filter(run_id=run.id).order_by("pk").values_list("text", flat=True))
    assert len(texts) == 1001
    assert texts[-1] == "more than 1000 lines: the rest was left out"
