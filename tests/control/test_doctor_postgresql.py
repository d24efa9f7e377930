from __future__ import annotations

import re

import pytest
from django.db import connection, connections

from openqueue.control.doctor import database, postgresql
from tests.eventually import eventually

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]
SERVER = {
    "version_number": 150_000,
    "version": "15.0",
    "isolation": "read committed",
    "fsync": True,
    "synchronous_commit": "on",
    "autovacuum": True,
    "standby": False,
    "max_connections": 100,
    "connections": 90,
    "longest_transaction": 600.0,
}
TABLE = {
    "options": ["fillfactor=50", "autovacuum_vacuum_scale_factor=0.02", "autovacuum_vacuum_cost_delay=0"],
    "bytes": 256 * 2**20,
    "live": 100,
    "dead": 20_000,
    "updated": 200_000,
    "updated_in_place": 100_000,
    "vacuumed": 60.0,
    "broken": None,
}


def found() -> dict[str, str]:
    return {one.id: one.message for one in postgresql.findings({})}


def test_a_server_at_every_limit_is_well():
    assert list(postgresql.of_server(SERVER)) == []
    assert list(postgresql.of_server(SERVER | {"longest_transaction": None})) == []


@pytest.mark.parametrize(
    ("changed", "id", "level"),
    [
        ({"version_number": 140_011, "version": "14.11"}, "database_version", "error"),
        ({"standby": True}, "standby", "error"),
        ({"isolation": "repeatable read"}, "isolation", "error"),
        ({"fsync": False, "synchronous_commit": "off"}, "not_durable", "error"),
        ({"synchronous_commit": "off"}, "not_durable", "warning"),
        ({"autovacuum": False}, "autovacuum", "error"),
        ({"connections": 91}, "connections", "warning"),
        ({"longest_transaction": 601.0}, "long_transaction", "warning"),
    ],
)
def test_what_is_wrong_with_a_server_is_told(changed, id, level):
    (one,) = postgresql.of_server(SERVER | changed)
    assert (one.id, one.level) == (id, level)
    assert one.remedy


@pytest.mark.parametrize("name", ["openqueue_run", "openqueue_outbox", "openqueue_claim", "openqueue_worker"])
def test_a_table_at_every_limit_is_well(name):
    assert list(postgresql.of_table(name, TABLE)) == []
    assert list(postgresql.of_table(name, TABLE | {"live": 30_000, "dead": 30_000})) == []


@pytest.mark.parametrize(
    ("name", "changed", "id"),
    [
        ("openqueue_outbox", {"dead": 20_001}, "bloat"),
        ("openqueue_claim", {"dead": 20_001, "vacuumed": None}, "bloat"),
        ("openqueue_outbox", {"bytes": 2**30}, "bloat"),
        ("openqueue_outbox", {"options": []}, "storage_parameters"),
        ("openqueue_run", {"options": ["autovacuum_enabled=true"]}, "storage_parameters"),
        ("openqueue_run", {"updated_in_place": 99_999}, "heap_only"),
        ("openqueue_worker", {"options": ["autovacuum_enabled=false"]}, "autovacuum"),
        ("openqueue_run", {"broken": ["openqueue_run_finished"]}, "missing_index"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(name, changed, id):
    (one,) = postgresql.of_table(name, TABLE | changed)
    assert (one.id, one.subject) == (id, f"table {name}")
    assert one.remedy


def test_the_real_server_is_asked_and_every_table_is_seen():
    facts: dict = {}
    list(postgresql.findings(facts))
    assert set(SERVER) <= set(facts)
    assert {"openqueue_run", "openqueue_outbox", "openqueue_auditlog"} <= set(facts["tables"])
    assert set(facts["tables"]["openqueue_run"]) == set(TABLE)
    assert "fillfactor=50" in facts["tables"]["openqueue_run"]["options"]


def test_a_parameter_that_a_table_lost_is_told_with_the_words_that_set_it():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE openqueue_run RESET (fillfactor)")
        (one,) = [one for one in postgresql.findings({}) if one.id == "storage_parameters"]
        cursor.execute(one.remedy)
    assert "storage_parameters" not in found()


@pytest.mark.django_db(transaction=True)
def test_the_isolation_that_transactions_really_have_is_looked_at():
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'repeatable read'")
    assert "repeatable read" in found()["isolation"]
    connection.close()
    assert "isolation" not in found()


@pytest.mark.django_db(transaction=True)
def test_dead_rows_in_a_hot_table_are_told():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE openqueue_claim SET (autovacuum_enabled = false)")
        try:
            cursor.execute(
                """
                INSERT INTO openqueue_claim (run_id, seq, attempt, task_id, worker_id, token, queue, claimed_at)
                SELECT gen_random_uuid(), 1, 1, 't', gen_random_uuid(), gen_random_uuid(), 'q', now()
                FROM generate_series(1, 21000)
                """
            )
            cursor.execute("DELETE FROM openqueue_claim")
            connections["default"].close()  # a session that ends tells its statistics
            assert eventually(
                lambda: re.match(r"2\d{4} dead rows beside 0 live ones", found().get("bloat", ""))
            )
            assert "Autovacuum is off for this table." in found()["autovacuum"]
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE openqueue_claim RESET (autovacuum_enabled)")
                cursor.execute("VACUUM openqueue_claim")


def test_the_vendor_has_one_place():
    assert database.VENDORS["postgresql"] is postgresql.findings
