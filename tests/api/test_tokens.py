"""Tokens: shown once, kept as hashes, ended at once; and their command."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from openqueue.control import tokens
from openqueue.errors import TokenInvalid
from openqueue.models import ApiToken, AuditLog
from tests.api.conftest import ADA, Api
from tests.control.builders import clock

pytestmark = pytest.mark.django_db


def test_a_token_is_known_and_its_secret_stands_nowhere(manage):
    answer = manage("openqueue_tokens", "create", "shop", "--scope", "read", "--expires-in", "1d")
    token = answer.out.strip()
    assert re.fullmatch(r"oq_[0-9a-f]{12}_[\w-]{43}", token)
    assert Api(token).get("info").status_code == 200
    secret = token.rpartition("_")[2] if token.count("_") == 2 else token[16:]
    stored = str(list(ApiToken.objects.values())) + str(list(AuditLog.objects.values()))
    assert secret not in stored
    listed = manage("openqueue_tokens", "list")
    assert "shop" in listed.out
    assert secret not in listed.out + manage("openqueue_tokens", "list", "--json").out


def test_a_revoked_token_is_refused_at_once_and_for_good(manage, api):
    program = api("read")
    assert program.get("runs").status_code == 200
    answer = manage("openqueue_tokens", "revoke", "program-1", "gone", "--reason", "leaked", "--json")
    assert (answer.code, answer.json) == (
        1,
        [{"name": "program-1", "answer": "revoked"}, {"name": "gone", "answer": "missing"}],
    )
    assert program.get("runs").status_code == 401
    assert AuditLog.objects.get(act="token.revoke").reason == "leaked"
    assert tokens.revoke(["program-1"], actor=ADA) == {"program-1": "already revoked"}
    assert tokens.listing()[0].state == "revoked"


def test_an_expired_token_is_refused(api):
    program = api("read")
    ApiToken.objects.update(expires_at=clock() - timedelta(seconds=1))
    assert program.get("runs").status_code == 401
    assert tokens.listing()[0].state == "expired"


def test_its_use_is_written_down_once_a_minute(api, django_assert_num_queries):
    token = tokens.create("shop", scopes=["read"], actor=ADA)
    assert tokens.recognise(token)
    used = ApiToken.objects.get().last_used_at
    assert used
    tokens.recognise(token)
    assert ApiToken.objects.get().last_used_at == used
    ApiToken.objects.update(last_used_at=used - tokens.USED_EVERY)
    tokens.recognise(token)
    assert ApiToken.objects.get().last_used_at > used - tokens.USED_EVERY


def test_what_nearly_is_a_token_is_none():
    token = tokens.create("shop", scopes=["read"], actor=ADA)
    prefix, secret = token[:16], token[16:]
    other = tokens.create("other", scopes=["read"], actor=ADA)
    near = [
        "", "oq", prefix, secret, token[:-1], token + "A", token.upper(), token + "\n", " ".join(token),
        prefix + "A" * 43, other[:16] + secret, token.replace("oq_", "qo_"), "é" * 60, "\0" * 60,
    ]  # fmt: skip
    assert [text for text in near if tokens.recognise(text)] == []
    assert tokens.recognise(token)


@pytest.mark.parametrize(
    ("name", "scopes", "more"),
    [
        ("", ["read"], {}),
        ("a\nb", ["read"], {}),
        ("x" * 101, ["read"], {}),
        ("shop", [], {}),
        ("shop", ["write"], {}),
        ("shop", ["read:queue:mail"], {}),
        ("shop", ["trigger:queue:No Queue"], {}),
        ("shop", ["trigger:task:"], {}),
        ("shop", ["worker:task:app.add"], {}),
        ("shop", ["read"], {"queues": []}),
        ("shop", ["read"], {"queues": ["No Queue"]}),
        ("shop", ["read"], {"lifetime": timedelta(0)}),
    ],
)
def test_a_token_that_could_not_work_is_not_made(name: str, scopes: list[str], more):
    with pytest.raises(TokenInvalid):
        tokens.create(name, scopes=scopes, actor=ADA, **more)
    assert not ApiToken.objects.exists()


def test_a_name_is_given_once(manage):
    words = ["openqueue_tokens", "create", "shop", "--scope", "trigger:queue:mail", "--queue", "mail"]
    assert manage(*words).code == 0
    answer = manage(*words, "--json")
    assert (answer.code, "Choose another name" in answer.error) == (1, True)
