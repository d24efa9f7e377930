"""Readers of the Workbench: who has which permissions, and what a browser sends."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2) oq-get=/x hx-get=/y><a href="javascript:alert(3)">'
"""What a hostile payload may hold."""


def staff(*permissions: str, name: str = "grace") -> Client:
    """Return the browser of a member of the staff with these permissions of OpenQueue."""
    user = User.objects.create_user(name, is_staff=True)
    found = Permission.objects.filter(content_type__app_label="openqueue", codename__in=permissions)
    assert found.count() == len(permissions)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


def where(page: str, *args: Any) -> str:
    """Return the address of a page."""
    name = page if "_" in page else f"{page}_changelist"
    return reverse(f"admin:openqueue_{name}", args=args)


def read(client: Client, page: str, *args: Any, **query: Any) -> str:
    """Return a page's text."""
    answer = client.get(where(page, *args), query)
    assert answer.status_code == 200, answer
    return str(answer.content.decode())


def do(client: Client, page: str, *args: Any, act: str, on: Any = "", **fields: Any) -> Any:
    """Send an act as its form does, its question answered, and follow to the page as it is then."""
    sent = {"act": act, "on": on, "confirmed": "1", **fields}
    return client.post(where(page, *args), sent, follow=True)


def is_harmless(text: str) -> bool:
    """Tell whether EVIL stands there as text only."""
    marks = ("<script>alert", "<img src=x", '"><img', 'href="javascript:')
    return "alert(1)" in text and not any(mark in text for mark in marks)
