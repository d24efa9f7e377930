from __future__ import annotations

import psycopg
import pytest

from tests.servers import databases
from tests.servers.postgresql import USER
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.postgresql


def connect(port: int) -> psycopg.Connection:
    server = databases.address()
    return psycopg.connect(
        host="127.0.0.1", port=port, user=USER, password=server.password, dbname="postgres", autocommit=True
    )


@pytest.fixture
def proxy():
    with Proxy(databases.address().port) as proxy:
        yield proxy


def test_what_goes_in_comes_out(proxy: Proxy):
    with connect(proxy.port) as connection:
        assert connection.execute("SELECT 42").fetchone() == (42,)


def test_a_lost_answer_leaves_the_work_done_and_the_client_in_doubt(proxy: Proxy):
    with connect(databases.address().port) as direct:
        direct.execute("DROP TABLE IF EXISTS doubt")
        direct.execute("CREATE TABLE doubt (n int)")
        with connect(proxy.port) as connection:
            proxy.lose_the_answer_to(b"INSERT INTO doubt")
            with pytest.raises(psycopg.OperationalError):
                connection.execute("INSERT INTO doubt VALUES (1)")
        assert proxy.lost.is_set()
        assert direct.execute("SELECT count(*) FROM doubt").fetchone() == (1,)
        direct.execute("DROP TABLE doubt")


def test_a_cut_connection_fails_and_a_new_one_works(proxy: Proxy):
    with connect(proxy.port) as connection:
        assert proxy.cut() == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with connect(proxy.port) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
