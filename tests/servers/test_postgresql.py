from __future__ import annotations

import psycopg
import pytest

from tests.servers.postgresql import PostgreSQL

pytestmark = [pytest.mark.postgresql, pytest.mark.crash]


@pytest.fixture
def server():
    server = PostgreSQL()
    server.open()
    yield server
    server.close()


def ask(server: PostgreSQL, question: str) -> object:
    with psycopg.connect(server.url, dbname="postgres", autocommit=True) as connection:
        return connection.execute(question).fetchone()


def test_a_server_is_durable_unless_told_otherwise(server: PostgreSQL):
    assert ask(server, "SHOW fsync") == ("on",)
    assert ask(server, "SHOW synchronous_commit") == ("on",)


def test_a_server_comes_back_on_its_port_after_a_crash(server: PostgreSQL):
    ask(server, "SELECT 1")
    server.stop("immediate")
    with pytest.raises(psycopg.OperationalError):
        ask(server, "SELECT 1")
    server.start()
    assert ask(server, "SELECT 1") == (1,)


def test_a_terminated_connection_says_so(server: PostgreSQL):
    with psycopg.connect(server.url, dbname="postgres", autocommit=True) as connection:
        connection.execute("SELECT 1")
        assert server.terminate_connections() == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_closed_server_leaves_nothing_behind(server: PostgreSQL):
    folder = server.folder
    assert folder is not None
    server.close()
    assert not folder.exists()
