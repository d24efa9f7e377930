"""Whether the code of a process is still what it loaded."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from django.utils import autoreload

from openqueue.processes.worker.sources import Sources

BEGAN = 1_000_000_000.0


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one file that this process has loaded, older than the process."""
    file = tmp_path / "tasks.py"
    file.touch()
    os.utime(file, (BEGAN - 60, BEGAN - 60))
    monkeypatch.setattr(autoreload, "iter_all_python_module_files", lambda: frozenset([file]))
    return file


def test_what_is_older_than_the_process_has_not_changed(module: Path):
    sources = Sources(since=BEGAN)
    assert sources.changed() is None
    assert sources.changed() is None


def test_a_change_before_the_first_look_is_one(module: Path):
    os.utime(module, (BEGAN + 0.5, BEGAN + 0.5))
    assert Sources(since=BEGAN).changed() == module


@pytest.mark.parametrize("at", [BEGAN + 0.5, BEGAN - 3600], ids=["newer", "an older one restored"])
def test_a_change_after_it_is_one(module: Path, at: float):
    sources = Sources(since=BEGAN)
    assert sources.changed() is None
    os.utime(module, (at, at))
    assert sources.changed() == module


def test_a_file_from_the_future_is_not_news_for_ever_and_a_change_of_it_is(module: Path):
    ahead = time.time() + 3600
    os.utime(module, (ahead, ahead))
    sources = Sources(since=BEGAN)
    assert sources.changed() is None
    os.utime(module, (ahead + 1, ahead + 1))
    assert sources.changed() == module


def test_a_file_that_is_gone_for_a_moment_is_no_change(module: Path):
    sources = Sources(since=BEGAN)
    module.unlink()
    assert sources.changed() is None
    module.touch()
    os.utime(module, (BEGAN - 60, BEGAN - 60))
    assert sources.changed() is None
