"""The page of activity: what operators did."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import queue_acts
from openqueue.control.actor import Actor
from openqueue.models import AuditLog
from tests.control.builders import clock
from tests.workbench.staff import EVIL, is_harmless, read, staff, where

pytestmark = pytest.mark.django_db


def did(act="queue.pause", object="queue mail", actor="ada", ago=timedelta(minutes=5), **more):
    return AuditLog.objects.create(act=act, object=object, actor=actor, at=clock() - ago, **more)


def test_acts_are_listed_with_who_what_why_and_before_and_after(admin_client):
    queue_acts.pause(["mail"], actor=Actor(name="ada", origin="10.0.0.7 req-1"), reason="provider is down")
    page = read(admin_client, "activity")
    for shown in (
        "ada",
        "queue.pause",
        "queue mail",
        "provider is down",
        "10.0.0.7 req-1",
        where("queue_change", "mail"),
    ):
        assert shown in page


def test_what_changed_is_shown_value_by_value(admin_client):
    did(
        act="error.resolve",
        object="error 7",
        before={"state": "open"},
        after={"state": "resolved", "until": None},
    )
    page = read(admin_client, "activity")
    assert "open → resolved" in page
    assert where("error_change", 7) in page


def test_acts_are_found_by_who_what_and_when(admin_client):
    paused = did()
    resolved = did(act="error.resolve", object="error 7", actor="grace", ago=timedelta(days=2))
    edge = (clock() - timedelta(days=1)).isoformat()
    for query, wanted in (
        ({"actor": "ada"}, paused), ({"act": "queue."}, paused), ({"object": "error 7"}, resolved),
        ({"since": edge}, paused), ({"before": edge}, resolved),
    ):  # fmt: skip
        page = read(admin_client, "activity", **query)
        assert [f"oq-act-{one.pk}" in page for one in (paused, resolved)] == [
            one == wanted for one in (paused, resolved)
        ]
    assert "No such acts." in read(admin_client, "activity", actor="nobody")
    page = read(admin_client, "activity", since="yesterday")
    assert "This is no moment" in page


def test_pages_lead_on_by_key(admin_client, monkeypatch):
    monkeypatch.setattr("openqueue_workbench.pages.activity.SIZE", 2)
    acts = [did() for _ in range(3)]
    assert f"?at={acts[1].pk}" in read(admin_client, "activity")
    page = read(admin_client, "activity", at=acts[1].pk)
    assert (f"oq-act-{acts[0].pk}" in page, f"oq-act-{acts[1].pk}" in page) == (True, False)


def test_who_may_not_see_what_others_did_sees_nothing():
    reader = staff("view_run")
    for query in ({}, {"_part": "acts"}):
        assert reader.get(where("activity"), query).status_code == 403


def test_what_operators_wrote_is_text_here_and_acts_cost_nothing(admin_client, django_assert_max_num_queries):
    for _ in range(20):
        did(
            act=EVIL[:60],
            object=EVIL,
            actor=EVIL,
            reason=EVIL,
            origin=EVIL,
            before={EVIL: EVIL},
            after=[EVIL],
        )
    assert is_harmless(read(admin_client, "activity"))
    assert is_harmless(read(admin_client, "activity", actor=EVIL, object=EVIL))
    for reader in (admin_client, staff("view_auditlog")):
        with django_assert_max_num_queries(12):
            read(reader, "activity")
