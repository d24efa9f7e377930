"""amqps:// with an authority of the test's own: trusted when named, refused when not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openqueue.runtimes.rabbitmq import RabbitMQRuntime
from tests.rabbitmq.conftest import message
from tests.servers.papers import write_all
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def tls_server(_rabbitmq_server: RabbitMQ, papers: Path) -> Iterator[RabbitMQ]:
    """Two ports: one asks for no certificate of the client, the other server's does."""
    server = RabbitMQ(
        listeners__ssl__1=f"127.0.0.1:{free_port()}",
        ssl_options__cacertfile="authority.pem",
        ssl_options__certfile="server.pem",
        ssl_options__keyfile="server.key",
        ssl_options__verify="verify_peer",
        ssl_options__fail_if_no_peer_cert="false",
        auth_mechanisms__1="PLAIN",
        auth_mechanisms__2="EXTERNAL",
        ssl_cert_login_from="common_name",
    )
    server.papers = papers
    server.plugins = ("rabbitmq_management", "rabbitmq_auth_mechanism_ssl")
    server.open()
    yield server
    server.close()


@pytest.fixture
def server(tls_server: RabbitMQ) -> Iterator[RabbitMQ]:
    with tls_server.virtual_host():
        yield tls_server


def url(server: RabbitMQ) -> str:
    port = server.settings["listeners__ssl__1"].rpartition(":")[2]
    return server.url.replace("amqp://", "amqps://").replace(f":{server.port}/", f":{port}/")


def test_a_server_of_the_named_authority_is_used(server: RabbitMQ, papers: Path, queue: str):
    runtime = RabbitMQRuntime("default", url=url(server), ca=papers / "authority.pem")
    answers = runtime.publish([message(queue) for _ in range(500)])
    assert {answer.error for answer in answers} == {None}
    consumer = runtime.consumer([queue], prefetch=500)
    consumer.ack(consumer.receive(limit=500, timeout=5))
    assert runtime.health().ok
    consumer.close()
    runtime.close()


@pytest.mark.parametrize("ca", [None, "stranger.pem"], ids=["no-authority", "another-authority"])
def test_a_server_of_an_authority_that_was_not_named_is_refused(
    server: RabbitMQ, papers: Path, queue: str, ca: str | None
):
    runtime = RabbitMQRuntime("default", url=url(server), **({"ca": papers / ca} if ca else {}))
    (answer,) = runtime.publish([message(queue)])
    assert answer.error is not None
    assert "Put the authority that signed it into 'ca'" in answer.error
    assert server.password not in answer.error + runtime.health().detail
    runtime.close()


def test_a_certificate_of_another_name_is_refused_unless_names_do_not_matter(
    server: RabbitMQ, papers: Path, queue: str
):
    elsewhere = url(server).replace("127.0.0.1", "localhost")
    runtime = RabbitMQRuntime("default", url=elsewhere, ca=papers / "authority.pem")
    (answer,) = runtime.publish([message(queue)])
    assert answer.error is not None
    assert "certificate" in answer.error
    runtime.close()
    runtime = RabbitMQRuntime("default", url=elsewhere, ca=papers / "authority.pem", check_hostname=False)
    assert runtime.publish([message(queue)])[0].error is None
    runtime.close()


def test_a_certificate_logs_in_by_sasl_external(server: RabbitMQ, papers: Path, queue: str):
    server.api("PUT", "users/client", password_hash="", tags="")
    server.permit("client", r"^openqueue(\.|$)")
    runtime = RabbitMQRuntime(
        "default",
        url=url(server).replace(f"openqueue:{server.password}@", ""),
        auth="external",
        ca=papers / "authority.pem",
        cert=papers / "client.pem",
        key=papers / "client.key",
    )
    assert runtime.publish([message(queue)])[0].error is None
    runtime.close()
