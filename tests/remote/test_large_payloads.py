"""Payloads that lie in a storage, as workers over HTTP get them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openqueue import payloads, trigger
from openqueue.models import Run
from tests.remote.program import TASK, Remote

pytestmark = pytest.mark.django_db

PATH = "x" * 5_000


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"payloads": files}
    settings.OPENQUEUE = {"LARGE_PAYLOADS": "payloads", "PAYLOAD_LIMIT": 1_000}
    return tmp_path


def test_a_worker_gets_a_stored_payload_as_it_was(folder: Path, remote: Remote):
    run = trigger(TASK, {"path": PATH})
    assert set(Run.objects.get(pk=run.id).payload) == {payloads.POINTER}
    (work,) = remote.claim()
    assert work["payload"] == {"path": PATH}


def test_a_run_whose_payload_is_not_to_be_had_is_tried_again_and_the_others_are_given(
    folder: Path, remote: Remote
):
    lost, there = trigger(TASK, {"path": PATH}), trigger(TASK, {"path": PATH})
    next(path for path in folder.rglob("*.json") if str(lost.id) in path.name).unlink()
    assert [work["run"] for work in remote.claim(2)] == [str(there.id)]
    again = lost.refresh()
    assert (again.status, again.attempt) == ("retrying", 1)
    assert "Do workers use the same storage" in again.error["message"]
