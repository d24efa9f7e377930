"""TLS and SASL: options are passed through, refusals name the remedy and never a password."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)

from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.refusals import KafkaFailed
from tests.eventually import eventually
from tests.kafka.conftest import fresh, message, receive
from tests.servers.kafka import USER, Kafka
from tests.servers.papers import write


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    authority = write(folder, "authority")
    write(folder, "stranger")
    write(folder, "server", issuer=authority)
    return folder


@pytest.fixture(scope="module")
def tls_kafka(kafka_server: Kafka, papers: Path) -> Iterator[Kafka]:
    server = Kafka(papers=papers)
    server.open()
    with server.admin() as admin:
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(USER, "SCRAM-SHA-512", server.password)]
        )
    yield server
    server.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_over_tls_with_each_mechanism_messages_come_and_go(
    tls_kafka: Kafka, papers: Path, queue: str, mechanism: str
):
    options = tls_kafka.options_at("TLS") | {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "ca": papers / "authority.pem",
    }
    runtime = KafkaRuntime("default", **options, **fresh())
    assert eventually(lambda: runtime.publish([message(queue)])[0].error is None)
    consumer = runtime.consumer([queue], prefetch=1)
    consumer.ack(receive(consumer, 1))
    assert runtime.health().ok
    consumer.close()
    runtime.close()


@pytest.mark.parametrize("ca", [None, "stranger.pem"], ids=["no-authority", "another-authority"])
def test_a_server_of_an_authority_that_was_not_named_is_refused(
    tls_kafka: Kafka, papers: Path, queue: str, ca: str | None
):
    options = tls_kafka.options_at("TLS") | {"security_protocol": "SASL_SSL", "timeout": 1}
    runtime = KafkaRuntime("default", **options, **({"ca": papers / ca} if ca else {}))
    (answer,) = runtime.publish([message(queue)])
    assert answer.certain
    assert "CERTIFICATE_VERIFY_FAILED" in str(answer.error)
    runtime.close()


def test_a_wrong_password_is_told_with_its_remedy_and_without_the_password(
    kafka_server: Kafka, queue: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    runtime = KafkaRuntime("default", **kafka_server.options | {"password": "hunter2", "timeout": 1})
    (answer,) = runtime.publish([message(queue)])
    assert answer.certain
    health = runtime.health()
    assert not health.ok
    consumer = runtime.consumer([queue], prefetch=1)
    with pytest.raises(KafkaFailed) as failed:
        while not consumer.receive(limit=1, timeout=2):
            pass
    consumer.close()
    runtime.close()
    for said in (str(answer.error), health.detail, str(failed.value), caplog.text, repr(runtime.options)):
        assert "hunter2" not in said
    assert "user and password" in str(answer.error)  # the broker may have hung up before it was understood


def test_a_user_who_loses_his_rights_hears_of_it_and_goes_on_with_them(own_kafka: Kafka, queue: str):
    runtime = KafkaRuntime("default", **own_kafka.options, **fresh(timeout=2))
    assert runtime.publish([message(queue)])[0].error is None
    everything = ACLFilter(
        f"User:{USER}",
        "*",
        ACLOperation.ANY,
        ACLPermissionType.ANY,
        ResourcePatternFilter(ResourceType.TOPIC, "openqueue", ACLResourcePatternType.PREFIXED),
    )
    with own_kafka.admin() as admin:
        admin.delete_acls([everything])
    try:
        answer = eventually(
            lambda: next((a for a in runtime.publish([message(queue)]) if a.error is not None), None)
        )
        assert "may not do this with the topic" in str(answer.error)
        with pytest.raises(KafkaFailed, match="page of this runtime shows the rules"):
            runtime.declare([f"{queue}-other"])
    finally:
        own_kafka.grant()
    eventually(lambda: runtime.publish([message(queue)])[0].error is None, within=30)
    runtime.close()
