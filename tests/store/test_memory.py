"""What a worker tells of its memory stands in its row with the heartbeat, and costs no statement."""

from __future__ import annotations

import pytest

from openqueue.models import Worker
from openqueue.store import store
from openqueue.types import Memory
from tests.control.builders import make_worker

pytestmark = pytest.mark.django_db


def told(worker) -> tuple[int | None, list | None]:
    return Worker.objects.values_list("memory", "memories").get(pk=worker)


def test_a_heartbeat_writes_the_memory_and_a_history_where_it_brings_one(
    django_assert_num_queries, monkeypatch
):
    worker = make_worker()

    def beat(memory: Memory | None) -> None:
        assert store().beat(worker, lease=30.0, busy=0, state="running", memory=memory).alive

    assert told(worker) == (None, None)
    beat(Memory(resident=3 * 2**31, history=[(29_000_000, 5), (29_000_001, 3 * 2**31)]))
    assert told(worker) == (3 * 2**31, [[29_000_000, 5], [29_000_001, 3 * 2**31]])
    beat(Memory(resident=7))
    assert told(worker) == (7, [[29_000_000, 5], [29_000_001, 3 * 2**31]])
    beat(None)
    assert told(worker)[0] == 7
    statements = []
    for memory in (None, Memory(resident=8, history=[(1, 8)])):
        with store().connection.execute_wrapper(
            lambda run, sql, *rest: (statements.append(sql), run(sql, *rest))[1]
        ):
            beat(memory)
    assert statements[: len(statements) // 2] == statements[len(statements) // 2 :]
