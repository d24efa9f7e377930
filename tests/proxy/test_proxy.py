from __future__ import annotations

import socket
import threading
import time

import psycopg
import pytest

from tests.eventually import eventually
from tests.proxy.postgresql import Reader, statements
from tests.proxy.proxy import Proxy
from tests.servers import databases
from tests.servers.postgresql import USER

pytestmark = pytest.mark.postgresql


def connect(port: int, **more: object) -> psycopg.Connection:
    server = databases.address()
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=USER,
        password=server.password,
        dbname="postgres",
        autocommit=True,
        **more,
    )


@pytest.fixture
def proxy():
    with Proxy(databases.address().port, reader=statements) as proxy:
        yield proxy


@pytest.fixture
def direct():
    with connect(databases.address().port) as direct:
        direct.execute("DROP TABLE IF EXISTS doubt")
        direct.execute("CREATE TABLE doubt (n int)")
        yield direct
        direct.execute("DROP TABLE doubt")


def count(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT count(*) FROM doubt").fetchone()[0]


def test_what_goes_in_comes_out_however_big(proxy: Proxy):
    with connect(proxy.port) as connection:
        assert connection.execute("SELECT repeat('x', 3000000)").fetchone() == ("x" * 3_000_000,)


def test_a_refusing_proxy_ends_what_is_open_and_takes_nothing_new_until_it_passes_on(proxy: Proxy):
    with connect(proxy.port) as connection:
        proxy.refuse()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(proxy.port)
    proxy.pass_on()
    with connect(proxy.port) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_reset_connection_fails_and_a_new_one_works(proxy: Proxy):
    with connect(proxy.port) as connection:
        assert proxy.reset() == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with connect(proxy.port) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_black_hole_answers_nobody_and_forgets_nothing(proxy: Proxy):
    with connect(proxy.port) as connection:
        proxy.blackhole()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(proxy.port, connect_timeout=2)
        proxy.pass_on()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_black_hole_opens_behind_a_request_that_is_done_and_answered_later(proxy: Proxy, direct):
    with connect(proxy.port) as connection:
        proxy.blackhole(behind=b"INSERT INTO doubt")
        client = threading.Thread(target=connection.execute, args=["INSERT INTO doubt VALUES (1)"])
        client.start()
        eventually(lambda: count(direct) == 1)
        client.join(0.2)
        assert client.is_alive()
        proxy.pass_on()
        client.join(10)
        assert not client.is_alive()


def test_a_stalled_request_goes_on_when_all_do_and_dies_with_its_client(proxy: Proxy, direct):
    proxy.stall(b"INSERT INTO doubt")
    mortal = connect(proxy.port)
    with connect(proxy.port) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        client = threading.Thread(target=connection.execute, args=["INSERT INTO doubt VALUES (1)"])
        client.start()
        mortal.pgconn.send_query(b"INSERT INTO doubt VALUES (2)")
        mortal.pgconn.flush()
        eventually(lambda: proxy.stalled == 2)
        with socket.fromfd(mortal.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM) as end:
            end.shutdown(socket.SHUT_RDWR)  # as the kernel does for a process that is killed: no farewell
        mortal.close()
        eventually(lambda: any(c.pumps < 2 for c in proxy.connections))
        proxy.pass_on()
        client.join(10)
        assert direct.execute("SELECT n FROM doubt").fetchall() == [(1,)]


def test_a_slow_network_is_slow(proxy: Proxy):
    with connect(proxy.port) as connection:
        proxy.delay(0.1)
        began = time.monotonic()
        connection.execute("SELECT 1")
        assert time.monotonic() - began >= 0.2


def test_a_connection_is_cut_in_the_middle_of_an_answer(proxy: Proxy):
    proxy.cut_after(10_000)
    with connect(proxy.port) as connection, pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT repeat('x', 100000)")


def test_a_lost_answer_leaves_the_work_done_and_the_client_in_doubt(proxy: Proxy, direct):
    with connect(proxy.port) as connection:
        proxy.lose_the_answer_to(b"INSERT INTO doubt")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO doubt VALUES (1)")
    assert proxy.lost == 1
    eventually(lambda: count(direct) == 1)


def test_the_answer_to_a_prepared_statement_is_lost_when_it_is_executed(proxy: Proxy, direct):
    with connect(proxy.port) as connection:
        connection.execute("INSERT INTO doubt VALUES (%s)", [1], prepare=True)
        proxy.lose_the_answer_to(b"INSERT INTO doubt")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO doubt VALUES (%s)", [2], prepare=True)
    eventually(lambda: count(direct) == 2)


def test_preparing_a_statement_does_not_count_as_executing_it():
    reader = Reader()
    parse = b"P" + (4 + 3 + 9 + 2).to_bytes(4, "big") + b"s1\0SELECT 1\0\0\0"
    bind = b"B" + (4 + 1 + 3 + 6).to_bytes(4, "big") + b"\0s1\0" + b"\0" * 6
    assert reader.read(parse + bind[:3]) == []
    assert reader.read(bind[3:]) == [b"SELECT 1"]


def test_a_request_held_back_is_done_when_it_is_delivered_long_after_its_client_gave_up(proxy: Proxy, direct):
    with connect(proxy.port) as connection:
        proxy.hold_back(b"INSERT INTO doubt")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO doubt VALUES (1)")
    assert count(direct) == 0
    proxy.deliver()
    eventually(lambda: count(direct) == 1)
