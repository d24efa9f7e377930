"""The groups that a project begins with."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.db import connection

from openqueue.control.callers import PERMISSIONS, Caller, Right

groups = import_module("openqueue_workbench.migrations.0001_groups")
pytestmark = pytest.mark.django_db
LOOK = {
    Right.READ, Right.QUEUES, Right.FLEET, Right.OUTBOX, Right.AUDIT, Right.SCHEDULES, Right.FLOWS, Right.ERRORS,
    Right.ALERTS, Right.ALERT_RULES, Right.ALERT_CHANNELS,
}  # fmt: skip
GIVEN_ONE_BY_ONE = {right for right in PERMISSIONS if right.value.startswith(("add ", "change ", "delete "))}


@pytest.fixture(autouse=True)
def made() -> None:
    groups.make(apps, SimpleNamespace(connection=connection))


def rights_of(name: str) -> frozenset[Right]:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=name))
    return Caller.person(User.objects.get(pk=user.pk)).rights


def test_viewers_see_everything_but_what_runs_carry_and_change_nothing():
    assert rights_of(groups.VIEWERS) == LOOK


def test_operators_do_what_a_person_on_call_needs_and_change_no_rules():
    assert rights_of(groups.OPERATORS) == set(PERMISSIONS) - GIVEN_ONE_BY_ONE


def test_a_group_that_is_there_is_the_projects_and_stays_as_it_is():
    group = Group.objects.get(name=groups.VIEWERS)
    group.permissions.set(Permission.objects.filter(codename="view_run"))
    groups.make(apps, SimpleNamespace(connection=connection))
    assert [one.codename for one in group.permissions.all()] == ["view_run"]
