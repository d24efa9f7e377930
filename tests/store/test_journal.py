"""The record of acts, as it is appended: whole, in order, at the database's moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.models import AuditLog
from openqueue.store import store
from openqueue.store.journal import AT_ONCE

pytestmark = pytest.mark.django_db


def test_many_lines_are_appended_by_few_statements(django_assert_num_queries):
    acts = [
        Act("run.retry", f"run {n}", before={"n": n}, after=["ü", 1e22, None]) for n in range(AT_ONCE + 1)
    ]
    clock = store().clock(None)
    with django_assert_num_queries(2):
        audit.record(acts, actor=Actor(name="ada"), reason="r" * 900)
    lines = list(AuditLog.objects.order_by("pk"))
    assert [(line.object, line.before["n"]) for line in lines] == [
        (f"run {n}", n) for n in range(AT_ONCE + 1)
    ]
    assert {(line.actor, line.act, len(line.reason)) for line in lines} == {("ada", "run.retry", 500)}
    assert lines[0].after == ["ü", 1e22, None]
    assert all(timedelta(0) <= line.at - clock < timedelta(minutes=1) for line in lines)


@pytest.mark.mariadb
def test_the_moment_is_an_instant_whatever_the_zone_of_the_session():
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+09:00'")
        try:
            clock = store().clock(None)
            audit.record([Act("queue.pause", "queue a")], actor=Actor(name="ada"))
            assert timedelta(0) <= AuditLog.objects.get().at - clock < timedelta(minutes=1)
        finally:
            cursor.execute("SET time_zone = 'SYSTEM'")
