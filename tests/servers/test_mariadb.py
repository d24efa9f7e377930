from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.mariadb import MariaDB

pytestmark = [pytest.mark.mariadb, pytest.mark.crash]


@pytest.fixture
def server() -> Iterator[MariaDB]:
    server = MariaDB()
    server.open()
    yield server
    server.close()


def test_a_server_is_durable_unless_told_otherwise(server: MariaDB):
    assert server.ask("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite") == [(1, 1)]


def test_a_server_comes_back_on_its_port_after_a_crash(server: MariaDB):
    import MySQLdb

    server.stop("immediate")
    with pytest.raises(MySQLdb.OperationalError):
        server.ask("SELECT 1")
    server.start()
    assert server.ask("SELECT @@port") == [(server.port,)]


def test_a_closed_server_leaves_nothing_behind(server: MariaDB):
    folder = server.folder
    assert folder is not None
    server.close()
    assert not folder.exists()
