"""A worker tells which release of the project it is of."""

from __future__ import annotations

from typing import Any

import pytest

from openqueue.models import Release
from openqueue.models import Worker as Row
from openqueue.processes.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("setting", "told"), [({"RELEASE": "2026.11.2"}, "2026.11.2"), ({}, "")])
def test_a_worker_tells_the_release_that_its_settings_name_with_its_first_heartbeat(
    settings: Any, setting: dict[str, str], told: str
):
    settings.OPENQUEUE = setting
    Worker(queues=["default"], slots=1).heartbeat.step()
    assert list(Row.objects.values_list("release", flat=True)) == [told]
    assert list(Release.objects.values_list("name", flat=True)) == [told] * bool(told)


def test_a_release_that_several_workers_tell_at_once_is_kept_once(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    settings.OPENQUEUE = {"RELEASE": "2026.11.2"}
    Release.objects.create(name="2026.11.2", first_seen="2026-11-02T09:00:00Z")
    # Another was faster, after this one had looked.
    monkeypatch.setattr("django.db.models.query.QuerySet.exists", lambda rows: False)
    Worker(queues=["default"], slots=1).heartbeat.step()
    assert Release.objects.get().first_seen.day == 2
