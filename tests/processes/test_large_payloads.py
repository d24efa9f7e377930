"""Payloads above PAYLOAD_LIMIT: refused, or in a storage with a pointer in the row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from openqueue import Flow, enqueue_flow, payloads
from openqueue.control import repeats, run_facts
from openqueue.control.actor import Actor
from openqueue.errors import PayloadInvalid, PayloadTooLarge
from openqueue.models import Run
from openqueue.processes.sweeps.stored import Stored
from openqueue.store import store
from openqueue.testing import QueuedRuns
from tests.processes import isolated

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]

LIMIT = 1_000
TEXT = "ä" * 20_000
ADA = Actor(name="ada", origin="test")


@pytest.fixture
def folder(quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where payloads above 1,000 bytes are put, and children look for them."""
    monkeypatch.setenv("OPENQUEUE_TEST_PAYLOADS", str(tmp_path))
    quick.STORAGES = quick.STORAGES | {
        "payloads": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        }
    }
    quick.OPENQUEUE = quick.OPENQUEUE | {"LARGE_PAYLOADS": "payloads", "PAYLOAD_LIMIT": LIMIT}
    return tmp_path


@pytest.fixture
def measure(declare: Declare) -> Any:
    @declare(max_attempts=2, backoff=0)
    def measure(ctx: Any, text: str) -> list[int]:
        return [len(text), len(ctx.payload["text"])]

    return measure


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def row(run: Any) -> Any:
    return Run.objects.get(pk=run.id).payload


def swept(sweep: Stored, *, days: float) -> int:
    return sweep.step(store().clock(None) + timedelta(days=days))


def test_a_large_payload_lies_in_the_storage_and_its_body_gets_it_whole(
    folder: Path, measure: Any, drain: Any
):
    run = measure.trigger(text=TEXT)
    assert set(row(run)) == {payloads.POINTER}
    (file,) = files(folder)
    assert str(run.id) in file.name
    drain()
    assert run.refresh().result == [20_000, 20_000]


def test_what_fits_stays_in_its_row(folder: Path, measure: Any):
    fits = "x" * (LIMIT - len('{"text":""}'))
    assert row(measure.trigger(text=fits)) == {"text": fits}
    assert files(folder) == []
    measure.trigger(text=fits + "x")
    assert len(files(folder)) == 1


def test_without_a_storage_it_is_refused_before_anything_is_written(
    folder: Path, measure: Any, settings: Any
):
    settings.OPENQUEUE = settings.OPENQUEUE | {"LARGE_PAYLOADS": None}
    with pytest.raises(PayloadTooLarge, match="limit is 1,000"):
        measure.trigger(text=TEXT)
    assert files(folder) == []
    assert not Run.objects.exists()


def test_many_are_made_at_once_each_with_a_file_of_its_own(folder: Path, measure: Any, drain: Any):
    runs = measure.trigger_many([{"text": TEXT}, {"text": "short"}, {"text": TEXT * 2}])
    assert len(files(folder)) == 2
    drain()
    assert [run.refresh().result[0] for run in runs] == [20_000, 5, 40_000]


def test_a_body_in_a_process_of_its_own_gets_it_too(folder: Path, isolated_tasks: None, drain: Any):
    run = isolated.secretive.trigger(password="x" * 5_000)
    assert "x" * 100 not in files(folder)[0].read_text(), "a secret is encrypted there as well"
    drain()
    assert run.refresh().result == {"password": "[secret]"}


def test_a_coroutine_gets_it_too(folder: Path, declare: Declare, drain: Any):
    @declare
    async def measure_soon(text: str) -> int:
        return len(text)

    run = measure_soon.trigger(text=TEXT)
    drain()
    assert run.refresh().result == 20_000


def test_a_step_of_a_flow_gets_it_too(folder: Path, measure: Any, drain: Any):
    flow = Flow("large")
    first = flow.add(measure.bind(text=TEXT), name="first")
    flow.add(measure.bind(text=TEXT), name="second", after=[first])
    enqueue_flow(flow)
    drain()
    assert {run.result[0] for run in Run.objects.all()} == {20_000}
    assert len(files(folder)) == 2


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_a_payload_that_is_not_to_be_had_is_tried_again_and_says_what_to_look_at(
    folder: Path, measure: Any, drain: Any, harm: str
):
    run = measure.trigger(text=TEXT)
    (file,) = files(folder)
    file.unlink() if harm == "gone" else file.write_text('{"text": "other"}')
    drain()
    failed = run.refresh()
    assert (failed.status, failed.reason, failed.attempt) == ("failed", "error", 2)
    assert failed.error["type"].endswith("PayloadUnavailable")
    assert {"gone": "Do workers use the same storage", "changed": "than was written"}[harm] in failed.error[
        "message"
    ]


def test_a_name_outside_of_its_folder_is_not_read(folder: Path, measure: Any, drain: Any):
    (folder / "secrets.json").write_text("{}")
    run = measure.trigger(text="short")
    stored = {"name": "secrets.json", "bytes": 2, "sha256": "0" * 64}
    Run.objects.update(payload={payloads.POINTER: stored})
    drain()
    assert "outside of" in run.refresh().error["message"]


def test_nobody_can_send_a_pointer(folder: Path, declare: Declare):
    @declare
    def anything(**fields: Any) -> None: ...

    with pytest.raises(PayloadInvalid, match="keeps for itself"):
        anything.trigger(**{payloads.POINTER: {"name": "secrets.json", "bytes": 2, "sha256": ""}})


def test_a_run_that_was_rolled_back_leaves_a_file_that_goes_after_a_day(folder: Path, measure: Any):
    kept = measure.trigger(text=TEXT)
    with transaction.atomic():
        measure.trigger(text=TEXT)
        transaction.set_rollback(True)
    sweep = Stored()
    assert len(files(folder)) == 2
    assert swept(sweep, days=0.9) == 0
    assert swept(sweep, days=1.1) == 1
    assert [str(kept.id) in file.name for file in files(folder)] == [True]


def test_what_retention_deletes_leaves_the_storage_as_well(folder: Path, measure: Any):
    runs = measure.trigger_many([{"text": TEXT}] * 3)
    Run.objects.filter(pk=runs[0].id).delete()
    sweep = Stored()
    assert [swept(sweep, days=2), swept(sweep, days=2)] == [1, 0]
    Run.objects.all().delete()
    assert swept(sweep, days=2) == 2
    assert files(folder) == []


def test_a_debounced_run_and_a_callback_keep_theirs_in_a_row(folder: Path, measure: Any):
    with pytest.raises(PayloadTooLarge, match="debounced"):
        measure.using(dedupe_key="one", debounce=5).trigger(text=TEXT)
    flow = Flow("large").when_completed(measure.bind(text=TEXT))
    flow.add(measure.bind(text="short"))
    with pytest.raises(PayloadTooLarge, match="callback"):
        enqueue_flow(flow)
    assert not Run.objects.exists()


def test_a_run_that_is_repeated_has_a_file_of_its_own(folder: Path, measure: Any, drain: Any):
    run = measure.trigger(text=TEXT)
    drain()
    again = repeats.repeat(run.id, payload=None, actor=ADA)
    edited = repeats.repeat(run.id, payload={"text": TEXT + "!"}, actor=ADA)
    assert len(files(folder)) == 3
    Run.objects.filter(pk=run.id).delete()
    swept(Stored(), days=2)
    drain()
    assert [Run.objects.get(pk=one).result[0] for one in (again, edited)] == [20_000, 20_001]


def test_pages_show_what_is_not_too_large_and_never_fail(
    folder: Path, measure: Any, monkeypatch: pytest.MonkeyPatch
):
    run = Run.objects.get(pk=measure.trigger(text=TEXT).id)
    assert run_facts.shown_payload(run) == {"text": TEXT}
    where = {payloads.POINTER: {"storage": "payloads", "bytes": 40_011}}
    monkeypatch.setattr(payloads, "SHOWN", 1_000)
    assert run_facts.shown_payload(run) == where
    monkeypatch.undo()
    files(folder)[0].unlink()
    assert run_facts.shown_payload(run) == where


def test_a_test_of_a_project_sees_the_arguments(folder: Path, measure: Any):
    with QueuedRuns() as queued:
        measure.trigger(text=TEXT)
        assert queued[0].arguments == {"text": TEXT}
