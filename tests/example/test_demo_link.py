"""The link by which the demo's browser begins on the Workbench: once, for minutes, on this machine, while DEBUG."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import signing
from django.test import Client

from openqueue.models import AlertRule
from shop import demo_link

pytestmark = [pytest.mark.django_db, pytest.mark.urls("config.urls")]
WORKBENCH = "/admin/openqueue/overview/"


@pytest.fixture
def link(shop: Any, settings: Any) -> str:
    settings.DEBUG = True
    return demo_link.make()


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_it_signs_the_admin_in_and_leads_to_the_workbench(link: str):
    client = Client()
    answer = client.get(link)
    assert (answer.status_code, answer.url) == (302, WORKBENCH)
    assert is_in(client)


def test_it_is_good_once(link: str):
    Client().get(link)
    second = Client()
    assert second.get(link).url == WORKBENCH
    assert not is_in(second)


def test_it_is_good_for_minutes(link: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo_link, "LIFETIME", -1)
    client = Client()
    client.get(link)
    assert not is_in(client)


@pytest.mark.parametrize("address", ["192.0.2.7", "", "::ffff:192.0.2.7"])
def test_it_is_for_this_machine_alone(link: str, address: str):
    client = Client(REMOTE_ADDR=address)
    assert client.get(link).status_code == 404
    assert not is_in(client)


def test_it_is_for_development_alone(link: str, settings: Any):
    settings.DEBUG = False
    client = Client()
    assert client.get(link).status_code == 404
    assert not is_in(client)


def test_what_somebody_else_signed_or_nobody_did_opens_nothing(link: str):
    for token in ("x", link.rstrip("/").rpartition("/")[2] + "x", signing.dumps(["1", "None"], salt="other")):
        client = Client()
        client.get(f"/demo/{token}/")
        assert not is_in(client)


def test_the_shop_is_watched_from_the_beginning(shop: Any):
    rule = AlertRule.objects.get()
    assert (rule.kind, rule.queues) == ("failure_rate", ["billing"])
    assert [one.shown for one in rule.channels.all()] == ["keeper@shop.example"]
