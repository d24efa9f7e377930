"""rediss:// with an authority of the test's own: trusted when named, refused when not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openqueue.runtimes.redis import RedisRuntime
from tests.redis.conftest import message
from tests.servers.papers import write_all
from tests.servers.ports import free_port
from tests.servers.redis import Redis


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def tls_server(redis_server: Redis, papers: Path) -> Iterator[Redis]:
    server = Redis(
        tls_port=free_port(),
        tls_cert_file=papers / "server.pem",
        tls_key_file=papers / "server.key",
        tls_ca_cert_file=papers / "authority.pem",
        tls_auth_clients="optional",
    )
    server.open()
    yield server
    server.close()


def url(server: Redis) -> str:
    return f"rediss://openqueue:{server.password}@127.0.0.1:{server.settings['tls_port']}"


def test_a_server_of_the_named_authority_is_used(tls_server: Redis, papers: Path, queue: str):
    runtime = RedisRuntime("default", url=url(tls_server), ca=papers / "authority.pem")
    assert runtime.publish([message(queue) for _ in range(500)])[0].error is None
    consumer = runtime.consumer([queue], prefetch=500)
    consumer.ack(consumer.receive(limit=500, timeout=1))
    assert list(consumer.receive(limit=1, timeout=0.2)) == []
    assert runtime.health().ok
    consumer.close()
    runtime.close()


@pytest.mark.parametrize("ca", [None, "stranger.pem"], ids=["no-authority", "another-authority"])
def test_a_server_of_an_authority_that_was_not_named_is_refused(
    tls_server: Redis, papers: Path, queue: str, ca: str | None
):
    runtime = RedisRuntime("default", url=url(tls_server), **({"ca": papers / ca} if ca else {}))
    (answer,) = runtime.publish([message(queue)])
    assert answer.error is not None
    assert "certificate" in answer.error.lower()
    assert tls_server.password not in answer.error + runtime.health().detail
    runtime.close()


def test_an_expired_certificate_is_refused(tls_server: Redis, papers: Path, queue: str):
    with tls_server.client as admin:
        admin.config_set(
            "tls-cert-file", str(papers / "expired.pem"), "tls-key-file", str(papers / "expired.key")
        )
    runtime = RedisRuntime("default", url=url(tls_server), ca=papers / "authority.pem")
    (answer,) = runtime.publish([message(queue)])
    assert answer.error is not None
    assert "expired" in answer.error
    runtime.close()


def test_a_server_that_asks_for_the_client_s_certificate_gets_it(tls_server: Redis, papers: Path, queue: str):
    with tls_server.client as admin:
        admin.config_set("tls-auth-clients", "yes")
    without = RedisRuntime("default", url=url(tls_server), ca=papers / "authority.pem")
    assert without.publish([message(queue)])[0].error is not None
    without.close()
    runtime = RedisRuntime(
        "default",
        url=url(tls_server),
        ca=papers / "authority.pem",
        cert=papers / "client.pem",
        key=papers / "client.key",
    )
    assert runtime.publish([message(queue)])[0].error is None
    runtime.close()
