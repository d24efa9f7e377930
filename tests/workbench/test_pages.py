"""What holds for every page of the Workbench: who sees it, who does not, and what a hand-made request gets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from openqueue.control.callers import PERMISSIONS, Right
from openqueue.models import AuditLog, RollupMark
from openqueue_workbench import pages
from openqueue_workbench.frame.acts import acts_of
from openqueue_workbench.frame.page import Page
from openqueue_workbench.places import BY_NAME, PLACES
from tests.control.builders import clock, make_run

pytestmark = pytest.mark.django_db
LISTS = sorted(pages.ROUTES)
MOST_STATEMENTS = 12


def address(place: str) -> str:
    return reverse(f"admin:openqueue_{place}_changelist")


def page_of(place: str) -> type[Page]:
    return next(page for route, _name, page in pages.ROUTES[place] if route == "")


def staff(*rights: Right) -> Client:
    user = User.objects.create_user(f"user {len(rights)}", is_staff=True)
    for right in rights:
        app, _dot, code = PERMISSIONS[right].partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=code))
    client = Client()
    client.force_login(user)
    return client


def test_every_place_has_pages_and_stands_in_the_sidebar(admin_client: Client):
    assert {place.name for place in PLACES} == set(pages.ROUTES)
    index = admin_client.get(reverse("admin:index")).content.decode()
    for place in PLACES:
        assert f'href="{address(place.name)}"' in index
        assert admin.site.is_registered(place.model)


@pytest.mark.parametrize("place", LISTS)
def test_who_has_no_right_sees_neither_page_nor_part_nor_a_link_to_it(place: str):
    client = staff(*(right for right in PERMISSIONS if right is not BY_NAME[place].right))
    assert client.get(address(place)).status_code == 403
    for name in page_of(place).parts:
        assert client.get(address(place), {"_part": name}).status_code == 403
    index = client.get(reverse("admin:index")).content.decode()
    assert f'href="{address(place)}"' not in index


@pytest.mark.parametrize("place", LISTS)
def test_who_has_the_one_right_sees_it_and_no_control(place: str):
    make_run()
    client = staff(BY_NAME[place].right)
    answer = client.get(address(place))
    assert answer.status_code == 200
    page = answer.content.decode()
    for name, act in acts_of(page_of(place)).items():
        if act.right is not BY_NAME[place].right:
            assert f'name="act" value="{name}"' not in page


@pytest.mark.parametrize("place", LISTS)
def test_strangers_log_in_and_parts_are_refused_without_a_form(place: str, client: Client):
    assert client.get(address(place)).url.startswith(reverse("admin:login"))
    for name in page_of(place).parts:
        answer = client.get(address(place), {"_part": name})
        assert (answer.status_code, answer.content) == (401, b"")
    assert client.post(address(place), headers={"HX-Request": "true"}).status_code == 401


@pytest.mark.parametrize("place", LISTS)
def test_a_request_made_by_hand_is_refused_and_on_record(place: str):
    for name, act in acts_of(page_of(place)).items():
        User.objects.all().delete()
        client = staff(*(right for right in PERMISSIONS if right is not act.right))
        before = AuditLog.objects.count()
        answer = client.post(
            address(place), {"act": name, "on": "default", "confirmed": "1", "typed": "default"}
        )
        assert answer.status_code == 403, name
        refused = AuditLog.objects.order_by("-pk")[0]
        assert (AuditLog.objects.count(), refused.act) == (before + 1, "refused"), name


@pytest.mark.parametrize("place", LISTS)
def test_an_act_without_the_token_against_forgery_is_refused(place: str):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert client.post(address(place), {"act": "anything"}).status_code == 403


@pytest.mark.parametrize("place", LISTS)
def test_a_page_asks_few_questions_however_much_there_is(place: str):
    for name in ("minutes", "hours"):  # as they are while anybody sweeps
        RollupMark.objects.create(name=name, until=clock() - timedelta(seconds=70), sure_until=clock())
    for who in (lambda: staff(*PERMISSIONS), root):
        User.objects.all().delete()
        client = who()
        for number in range(2):
            for _ in range(10):
                make_run(queue=f"queue-{number}", status="failed")
            with CaptureQueriesContext(connection) as asked:
                assert client.get(address(place)).status_code == 200
            assert len(asked) <= MOST_STATEMENTS, "\n".join(one["sql"][:150] for one in asked)


def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize("place", LISTS)
def test_every_part_is_answered_by_itself_and_kept_by_nobody(place: str):
    client = root()
    for name in page_of(place).parts:
        answer = client.get(address(place), {"_part": name})
        assert answer.status_code in {200, 204}, name
        assert "no-store" in answer["Cache-Control"]
        assert b"<html" not in answer.content


def test_the_script_of_htmx_comes_from_here_and_may_be_kept(admin_client: Client):
    page = admin_client.get(address("overview")).content.decode()
    where = next(part for part in page.split('"') if "htmx-" in part and part.endswith(".js"))
    answer = admin_client.get(where)
    assert answer["Content-Type"].startswith("text/javascript")
    assert "immutable" in answer["Cache-Control"]
    assert b"htmx" in answer.content
    assert admin_client.get(where.replace("htmx-", "htmx-0")).status_code == 404


WaysIn = Callable[..., Any]


def test_another_admin_site_has_a_workbench_of_its_own(settings: Any, admin_client: Client):
    settings.ROOT_URLCONF = "tests.workbench.other_site"
    page = admin_client.get("/backoffice/openqueue/queue/")
    assert page.status_code == 200
    assert 'href="/backoffice/openqueue/overview/"' in page.content.decode()
    assert 'href="/admin/' not in page.content.decode()
