"""`manage.py check --deploy`: each setting that is not safe is found, and a safe one is left in peace."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django.db import transaction

from openqueue import checks, conf, deployment
from openqueue.control import tokens
from openqueue.control.actor import Actor
from tests.control.conftest import without_table  # noqa: F401  (fixture)

pytestmark = pytest.mark.django_db(databases="__all__")
REDIS = "openqueue.runtimes.redis.RedisRuntime"
RABBITMQ = "openqueue.runtimes.rabbitmq.RabbitMQRuntime"
KAFKA = "openqueue.runtimes.kafka.KafkaRuntime"
GOOD_KEY = "a-key-of-letters-that-nobody-guesses-0123456789-abcdefgh"
CLEAR: list[tuple[str, dict[str, Any], set[str]]] = [
    (REDIS, {"url": "redis://broker.internal/0"}, {"W110"}),
    (REDIS, {"url": "redis://:canary@10.0.0.7/0"}, {"W111"}),
    (REDIS, {"sentinels": ["watch-1:26379"], "service": "main", "sentinel_password": "canary"}, {"W110", "W111"}),
    (RABBITMQ, {"url": "amqp://ada:canary@rabbit.internal/"}, {"W111"}),
    (RABBITMQ, {"url": "amqps://ada:canary@rabbit/", "management": "http://rabbit:15672"}, {"W111"}),
    (KAFKA, {"brokers": ["kafka-1:9092"]}, {"W110"}),
    (KAFKA, {"brokers": ["kafka-1:9092"], "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN",
             "username": "ada", "password": "canary"}, {"W111"}),
    (REDIS, {"url": "rediss://broker.internal/0", "check_hostname": False}, {"W112"}),
    (RABBITMQ, {"url": "amqps://rabbit.internal/", "check_hostname": False}, {"W112"}),
    (KAFKA, {"brokers": ["kafka-1:9092"], "security_protocol": "SSL", "check_hostname": False}, {"W112"}),
]  # fmt: skip
SAFE: list[tuple[str, dict[str, Any]]] = [
    (REDIS, {"url": "rediss://:canary@broker.internal/0"}),
    (REDIS, {"url": "redis://:canary@127.0.0.1/0"}),
    (REDIS, {"url": "unix:///run/redis.sock"}),
    (RABBITMQ, {"url": "amqps://ada:canary@rabbit/", "management": "https://rabbit:15671"}),
    (RABBITMQ, {"url": "amqp://localhost/"}),
    (KAFKA, {"brokers": ["kafka-1:9093"], "security_protocol": "SSL"}),
    (KAFKA, {"brokers": ["[::1]:9092"]}),
]


def deployed(**more: Any) -> dict[str, Any]:
    messages = [message for check, _ in deployment.CHECKS for message in check(**more)]
    assert all(message.hint for message in messages)
    return {message.id.removeprefix("openqueue."): message for message in messages}


def lives_on(monkeypatch: pytest.MonkeyPatch, vendor: str, **told: Any) -> None:
    database = SimpleNamespace(vendor=vendor, settings_dict={"HOST": "", "OPTIONS": {}} | told)
    monkeypatch.setattr(deployment, "connections", {"default": database})


@pytest.fixture(autouse=True)
def _safe(settings, monkeypatch) -> None:
    """A project that is in order, on every database that the tests run on."""
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECRET_KEY = GOOD_KEY
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}
    }
    lives_on(monkeypatch, "postgresql")


def test_a_project_that_is_in_order_is_left_in_peace():
    assert deployed() == {}


def test_they_run_with_deploy_and_not_without():
    ours = {check for check, _ in deployment.CHECKS}
    assert ours <= set(registry.get_checks(include_deployment_checks=True))
    assert not ours & set(registry.get_checks())


@pytest.mark.parametrize(
    ("setting", "value", "number"),
    [
        ("SECURE_SSL_REDIRECT", False, "W102"),
        ("CACHES", {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}, "W103"),
        ("DEBUG", True, "E104"),
        ("SESSION_COOKIE_SECURE", False, "W105"),
        ("CSRF_COOKIE_SECURE", False, "W106"),
        ("OPENQUEUE", {"API_RATES": {"refused": None}}, "W107"),
        ("OPENQUEUE", {"RETENTION": {"failed": None}}, "W118"),
        ("OPENQUEUE", {"LARGE_PAYLOADS": "default"}, "W119"),
    ],
)
def test_a_setting_that_is_not_safe(settings, setting: str, value: Any, number: str):
    setattr(settings, setting, value)
    assert set(deployed()) == {number}


def test_where_the_api_is_not_included_nothing_is_said_of_it(settings, monkeypatch):
    settings.ROOT_URLCONF, settings.DEBUG = "tests.model", True
    monkeypatch.setattr("tests.model.urlpatterns", [], raising=False)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert checks.api_is_safe() == deployment.api_is_safe_to_deploy() == []


@pytest.mark.parametrize(("backend", "options", "numbers"), CLEAR)
def test_a_broker_that_is_reached_in_clear_or_by_anybodys_certificate(settings, backend, options, numbers):
    settings.OPENQUEUE = {"NAMESPACE": "a", "RUNTIMES": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    messages = deployed()
    assert set(messages) == numbers
    assert "canary" not in str(messages)


@pytest.mark.parametrize(("backend", "options"), SAFE)
def test_a_broker_that_is_reached_safely(settings, backend, options):
    settings.OPENQUEUE = {"NAMESPACE": "a", "RUNTIMES": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    assert deployed() == {}


def test_a_broker_without_a_namespace(settings):
    settings.OPENQUEUE = {"REDIS": "redis://127.0.0.1/0"}
    assert set(deployed()) == {"W113"}
    settings.OPENQUEUE = {"REDIS": "redis://127.0.0.1/0", "NAMESPACE": "shop"}
    assert deployed() == {}


def test_sqlite(monkeypatch):
    lives_on(monkeypatch, "sqlite")
    assert set(deployed()) == {"W114"}


@pytest.mark.parametrize(
    ("host", "options", "numbers"),
    [
        ("db.internal", {}, {"W115"}),
        ("db.internal", {"sslmode": "prefer"}, {"W115"}),
        ("db.internal", {"sslmode": "verify-full"}, set()),
        ("db.internal", {"ssl_mode": "VERIFY_IDENTITY"}, set()),
        ("db.internal", {"ssl": {"ca": "/ca.pem"}}, set()),
        ("127.0.0.1", {}, set()),
        ("/run/postgresql", {}, set()),
    ],
)
def test_a_database_that_may_be_talked_to_in_clear(monkeypatch, host: str, options: Any, numbers: set[str]):
    lives_on(monkeypatch, "postgresql", HOST=host, OPTIONS=options, PASSWORD="canary")
    assert set(messages := deployed()) == numbers
    assert "canary" not in str(messages)


@pytest.mark.parametrize(
    ("key", "keys", "numbers"),
    [
        ("django-insecure-" + GOOD_KEY, [], {"E116"}),
        ("short", [], {"E116"}),
        ("a" * 60, [], {"E116"}),
        ("short", ["x" * 40], set()),
        (GOOD_KEY, ["short"], {"E116"}),
        (GOOD_KEY, [], set()),
    ],
)
def test_a_key_that_can_be_guessed(settings, declare, key: str, keys: list[str], numbers: set[str]):
    @declare(secret=["pin"])
    def pay(pin: str) -> None: ...

    settings.SECRET_KEY, settings.OPENQUEUE = key, {"SECRET_KEYS": keys}
    assert set(messages := deployed()) == numbers
    assert key not in str(messages)


def test_an_argument_whose_name_says_secret(declare):
    @declare(secret=["password"])
    def log_in(password: str, api_key: str, page: int, tokens_left: int, compass: str) -> None: ...

    messages = deployed()
    assert set(messages) == {"W117"}
    assert "takes api_key, which" in messages["W117"].msg


def test_tokens_that_never_expire_are_looked_for_where_the_database_is_checked():
    database = [conf.config.database]
    tokens.create("short", scopes=["read"], lifetime=timedelta(days=1), actor=Actor(name="ada"))
    assert deployed(databases=database) == {}
    tokens.create("for-ever", scopes=["read"], actor=Actor(name="ada"))
    assert deployed() == {}
    assert "for-ever" in deployed(databases=database)["W108"].msg
    tokens.revoke(["for-ever"], actor=Actor(name="ada"))
    assert deployed(databases=database) == {}


def test_before_the_first_migration_nothing_is_said_of_tokens(without_table):  # noqa: F811  (fixture)
    without_table("openqueue_apitoken")
    with transaction.atomic():
        assert deployment.tokens_expire(databases=["default"]) == []
        transaction.set_rollback(True)


def test_every_id_has_an_example_here():
    ids = set(re.findall(r"openqueue\.([EW]\d{3})", inspect.getsource(deployment)))
    assert len(ids) > 12
    assert ids <= set(re.findall(r"\b([EW]\d{3})\b", Path(__file__).read_text()))


def test_it_is_what_the_command_runs(settings):
    settings.DEBUG = True
    found = {message.id for message in run_checks(include_deployment_checks=True)}
    assert "openqueue.E104" in found
