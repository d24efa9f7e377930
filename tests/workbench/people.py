"""Who reads pages: a member of the staff with some permissions."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User

EVIL = "<script>alert(1)</script> <b oq-get='/x'>javascript:alert(1)</b>"
"""Must be shown as the text that it is."""


def log_in(client: Any, *permissions: str, name: str = "vera") -> User:
    """Let somebody in who has these permissions and no others; return who."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return user


def text(answer: Any, *, status: int = 200) -> str:
    """Return what an answer shows."""
    assert answer.status_code == status, answer.content.decode()[:2_000]
    return str(answer.content.decode())


def is_harmless(page: str) -> bool:
    """Tell whether EVIL is shown, and only as text."""
    return "<script>alert" not in page and "<b oq-get" not in page and "&lt;script&gt;alert(1)" in page
