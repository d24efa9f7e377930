"""OPTIONS: what is wrong is named, with what to write instead, and no password is shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from openqueue import conf, runtimes
from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.options import OptionInvalid, Options

BROKERS = ["kafka-1:9092", "kafka-2"]
SASL = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u", "password": "hunter2"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "'brokers' must be a list"),
        ({"brokers": []}, "'brokers' must be a list"),
        ({"brokers": ["kafka://k:9092"]}, "without a scheme"),
        ({"brokers": ["u:hunter2@k:9092"]}, "'username' and 'password'"),
        ({"brokers": ["k:port"]}, "'brokers' must be a list"),
        ({"brokers": BROKERS, "borkers": 1}, "no option is called 'borkers'"),
        ({"brokers": BROKERS, "partitions": 0}, "'partitions' is 0"),
        ({"brokers": BROKERS, "replication": True}, "'replication' is True"),
        ({"brokers": BROKERS, "topics": {"email": 3}}, "'topics' has 3 for 'email'"),
        ({"brokers": BROKERS, "topics": []}, "'topics' must be a dictionary"),
        ({"brokers": BROKERS, "create_topics": "no"}, "write True or False"),
        ({"brokers": BROKERS, "timeout": 0}, "seconds above 0"),
        ({"brokers": BROKERS, "group_id": ""}, "'group_id'"),
        ({"brokers": BROKERS, "client": "librdkafka"}, "use one of kafka-python"),
        ({"brokers": BROKERS, "group_mode": "queue"}, "use one of classic, share"),
        ({"brokers": BROKERS, "group_mode": "share"}, "write 'client': 'confluent'"),
        (
            {"brokers": BROKERS, "client": "confluent", "client_options": {"acks_": 1}},
            "librdkafka does not take them",
        ),
        ({"brokers": BROKERS, "security_protocol": "TLS"}, "'security_protocol' is 'TLS'"),
        ({"brokers": BROKERS, "username": "u"}, "write 'security_protocol'"),
        ({"brokers": BROKERS, "ca": "/x"}, "is for TLS"),
        ({"brokers": BROKERS, "security_protocol": "SSL", "ca": "/no/such"}, "names no file"),
        ({"brokers": BROKERS, **SASL, "sasl_mechanism": "MAGIC"}, "use one of PLAIN"),
        ({"brokers": BROKERS, **SASL, "password": None}, "needs 'username' and 'password'"),
        ({"brokers": BROKERS, "client_options": []}, "'client_options' must be a dictionary"),
        ({"brokers": BROKERS, "client_options": {"acks_": 1}}, "kafka-python knows no acks_"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_remedy(raw: dict[str, Any], said: str):
    with pytest.raises(OptionInvalid) as found:
        KafkaRuntime("default", **raw)
    assert said in str(found.value)
    assert "hunter2" not in str(found.value)


def test_one_setting_switches_a_project(settings: Any):
    settings.OPENQUEUE = {"KAFKA": "kafka-1:9092, kafka-2"}
    runtime = runtimes.get("default")
    assert isinstance(runtime, KafkaRuntime)
    assert runtime.options.brokers == ("kafka-1:9092", "kafka-2:9092")
    assert conf.problems() == []
    runtimes.close_all()


@pytest.mark.parametrize("other", ["REDIS", "RUNTIMES"])
def test_two_ways_to_choose_a_broker_are_one_too_many(settings: Any, other: str):
    settings.OPENQUEUE = {"KAFKA": "kafka-1:9092", other: {} if other == "RUNTIMES" else "redis://x"}
    (problem,) = conf.problems()
    assert problem.id == "openqueue.E006"
    assert "KAFKA" in problem.message
    assert other in problem.message


def test_a_mistake_is_told_by_the_name_of_the_setting(settings: Any):
    backend = "openqueue.runtimes.kafka.KafkaRuntime"
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": backend, "OPTIONS": {"brokers": 5}}}}
    with pytest.raises(ImproperlyConfigured, match=r"RUNTIMES'\]\['default'\].*'brokers' must be a list"):
        runtimes.get("default")


def test_credentials_are_in_no_text():
    options = Options.of(
        {"brokers": BROKERS, **SASL, "client_options": {"sasl_oauth_token_provider": "hunter2"}}
    )
    assert "hunter2" not in repr(options)
    assert options.where == "kafka-1:9092,kafka-2:9092"
