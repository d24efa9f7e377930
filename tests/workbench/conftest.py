from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from tests.control.conftest import statements as statements

VIEWER = ("view_run", "view_payload")
OPERATOR = (*VIEWER, "cancel_run", "retry_run", "promote_run", "discard_run", "trigger_run")


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """Log in a member of the staff with these permissions."""

    def staff(*codenames: str, name: str = "grace") -> Client:
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label="openqueue", codename__in=codenames)
        )
        client = Client()
        client.force_login(user)
        return client

    return staff


def to(page: str, *args: Any) -> str:
    name = page if "_" in page else f"{page}_changelist"
    return reverse(f"admin:openqueue_{name}", args=args)


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content[:500]
    return str(answer.content.decode())
