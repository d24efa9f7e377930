from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.eventually import eventually
from tests.proxy.mariadb import Reader, statements
from tests.proxy.proxy import Proxy
from tests.servers import databases


def packet(sql: bytes, *, number: int = 0) -> bytes:
    return (len(sql) + 1).to_bytes(3, "little") + bytes([number]) + b"\x03" + sql


def test_a_statement_outside_of_a_transaction_is_said_when_it_is_whole():
    reader = Reader()
    asked = packet(b"SELECT 1")
    assert reader.read(packet(b"greeting", number=1) + asked[:6]) == []
    assert reader.read(asked[6:]) == [b"SELECT 1"]


def test_the_words_of_a_transaction_are_said_with_its_commit():
    reader = Reader()
    assert reader.read(packet(b"SET autocommit=0") + packet(b"INSERT 1") + packet(b"INSERT 2")) == []
    assert reader.read(packet(b"COMMIT")) == [b"INSERT 1\nINSERT 2\nCOMMIT"]
    assert reader.read(packet(b"INSERT 3") + packet(b"ROLLBACK")) == []
    assert reader.read(packet(b"SET autocommit=1") + packet(b"INSERT 4")) == [b"INSERT 4"]


@pytest.fixture
def direct() -> Iterator[Any]:
    connection = connect(databases.address().port)
    cursor = connection.cursor()
    cursor.execute("CREATE OR REPLACE TABLE doubt (n int)")
    yield cursor
    cursor.execute("DROP TABLE doubt")
    connection.close()


def connect(port: int) -> Any:
    import MySQLdb

    server = databases.address()
    return MySQLdb.connect(
        host="127.0.0.1", port=port, user=server.username, password=server.password, database="openqueue",
        autocommit=True,
    )  # fmt: skip


def count(cursor: Any) -> int:
    cursor.execute("SELECT COUNT(*) FROM doubt")
    return cursor.fetchone()[0]


@pytest.mark.mariadb
def test_a_lost_answer_to_a_commit_leaves_the_work_done_and_the_client_in_doubt(direct: Any):
    import MySQLdb

    with Proxy(databases.address().port, reader=statements) as proxy:
        connection = connect(proxy.port)
        connection.autocommit(False)
        proxy.lose_the_answer_to(b"INSERT INTO doubt")
        connection.cursor().execute("INSERT INTO doubt VALUES (1)")
        assert proxy.lost == 0
        with pytest.raises(MySQLdb.OperationalError):
            connection.commit()
        assert proxy.lost == 1
    eventually(lambda: count(direct) == 1)
