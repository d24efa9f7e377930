"""Every page of the Workbench, with something on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page

from openqueue import chain, enqueue_flow
from openqueue.models import ErrorGroup, Schedule
from openqueue_workbench import pages
from tests.app.tasks import add
from tests.control.builders import clock, make_run, make_worker

SignIn = Callable[[User], None]
TAGS = [f"tag-{number}-with-a-rather-long-name-that-goes-on-and-on" for number in range(15)]


@pytest.fixture
def something(page: Page, sign_in: SignIn) -> Mapping[str, str]:
    """A bit of everything, and the address of each page."""
    worker = make_worker()
    made = {
        status: make_run(status=status, worker=worker, tags=TAGS if status == "running" else ["a"])
        for status in (
            "queued",
            "scheduled",
            "running",
            "retrying",
            "completed",
            "failed",
            "cancelled",
            "expired",
        )
    }
    flow = enqueue_flow(chain(*(add.bind(a=number, b=2) for number in range(3))))
    group = ErrorGroup.objects.create(
        fingerprint="x", task_id="app.add", type="shop.errors." + "Unbelievably" * 8 + "LongError", place="a.py in add",
        message="<b>مرحبا</b> " + "x" * 300, last_run=made["failed"], last_seen=clock(), first_seen=clock(), count=1,
    )  # fmt: skip
    details = {
        "run": [made["failed"]], "queue": ["default"], "error": [group.pk], "flow": [flow.id], "worker": [worker],
        "metrics": ["tests.app.tasks.add"],
    }  # fmt: skip
    schedule = Schedule.objects.first()
    if schedule:
        details["schedule"] = [schedule.pk]
    addresses = {place: reverse(f"admin:openqueue_{place}_changelist") for place in pages.ROUTES}
    for place, arguments in details.items():
        if any(name == "change" for _route, name, _page in pages.ROUTES.get(place, ())):
            addresses[f"{place} one"] = reverse(f"admin:openqueue_{place}_change", args=arguments)
    for tab in ("arguments", "result", "logs", "events"):
        addresses[f"run {tab}"] = f"{addresses['run one']}?tab={tab}"
    sign_in(User.objects.create_superuser("ada"))
    return addresses
