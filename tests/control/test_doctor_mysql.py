from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from django.db import connection

from openqueue.control.doctor import mysql
from openqueue.models import Sweep
from tests.eventually import eventually

SERVER = {
    "version": "10.11.0-MariaDB",
    "isolation": "read committed",
    "read_only": 0,
    "innodb_flush_log_at_trx_commit": 1,
    "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
    "max_allowed_packet": 4 * 2**20,
    "max_connections": 100,
    "connections": 90,
    "longest_transaction": 600,
}
TABLE = {"engine": "InnoDB", "collation": "utf8mb4_general_ci"}


def judged(version: tuple[int, ...] = (10, 11, 0), **changed) -> dict[str, str]:
    found = mysql.of_server(SERVER | changed, version=version, oldest=mysql.OLDEST_MARIADB)
    return {one.id: one.level for one in found}


def test_a_server_at_every_limit_is_well():
    assert judged() == {}
    assert judged(longest_transaction=None) == {}


@pytest.mark.parametrize(
    ("changed", "id", "level"),
    [
        ({"version": (10, 6, 18)}, "database_version", "error"),
        ({"isolation": "repeatable read"}, "isolation", "warning"),
        ({"read_only": 1}, "standby", "error"),
        ({"innodb_flush_log_at_trx_commit": 2}, "not_durable", "warning"),
        ({"sql_mode": "NO_ENGINE_SUBSTITUTION"}, "not_strict", "error"),
        ({"max_allowed_packet": 2**20}, "packet", "error"),
        ({"connections": 91}, "connections", "warning"),
        ({"longest_transaction": 601}, "long_transaction", "warning"),
    ],
)
def test_what_is_wrong_with_a_server_is_told(changed, id, level):
    assert judged(**changed) == {id: level}


@pytest.mark.parametrize(
    ("changed", "id"),
    [
        ({"engine": "MyISAM"}, "engine"),
        ({"collation": "latin1_swedish_ci"}, "charset"),
        ({"collation": None}, "charset"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(changed, id):
    assert list(mysql.of_tables({"openqueue_run": TABLE})) == []
    (one,) = mysql.of_tables({"openqueue_run": TABLE | changed})
    assert (one.id, one.level) == (id, "error")
    assert one.remedy.startswith("ALTER TABLE openqueue_run")


if connection.vendor == "mysql":

    @pytest.mark.django_db
    def test_the_real_server_is_asked_and_every_table_is_seen():
        facts: dict = {}
        found = {one.id for one in mysql.findings(facts)}
        assert found <= {"not_durable"}  # the quick suite's server does not wait for the disk
        assert set(SERVER) <= set(facts)
        assert set(facts["tables"]["openqueue_run"]) == set(TABLE)
        assert "openqueue_outbox" in facts["tables"]

    @pytest.mark.django_db
    def test_how_long_a_transaction_is_open_is_told_whatever_the_time_zones():
        """Others may have one open for longer on the same server: only what the zone makes of it is looked at."""
        Sweep.objects.create(name="reap", last_at=datetime.now(UTC))
        ages = []
        with connection.cursor() as cursor:
            for zone in ("+00:00", "+10:00", "-10:00"):
                cursor.execute("SET time_zone = %s", [zone])
                # InnoDB repeats its last answer, to whomever, until nobody has asked for a tenth of a second.
                ages += eventually(partial(told, cursor), every=0.3)
                cursor.execute("SELECT @@session.time_zone")
                assert cursor.fetchone()[0] == zone
            cursor.execute("SET time_zone = '+00:00'")
        assert min(ages) >= 0
        assert max(ages) - min(ages) < 60

    def told(cursor: Any) -> list[int]:
        age = mysql.longest_transaction(cursor)
        return [] if age is None else [age]
