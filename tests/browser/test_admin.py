"""Django's admin with our pages in it, as a person opens it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_person_signs_in_and_sees_the_runs(page: Page):
    User.objects.create_superuser("ada", password="pass")
    page.goto("/admin/")
    expect(page).to_have_title("Log in | Django site admin")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("pass")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page).to_have_url("/admin/openqueue/run/")


def test_who_is_signed_in_is_shown_no_form(page: Page, sign_in: Callable[[User], None]):
    sign_in(User.objects.create_superuser("ada"))
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Runs", exact=True)).to_be_visible()
