"""Poison at every Python door: refused by name before anything is written, or kept exactly as it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from openqueue import PayloadInvalid, TaskDeclarationError, UnknownTask, trigger, trigger_many
from openqueue.core import transitions
from openqueue.models import Outbox, Run, RunEvent
from openqueue.runtimes.base import PoisonMessage, decode

pytestmark = pytest.mark.django_db


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


REFUSED: dict[str, tuple[Any, str]] = {
    "deep": (nested(10_000), "value"),
    "very deep": (nested(100_000), "value"),
    "NaN": (float("nan"), "value"),
    "infinity inside": ({"a": [1, float("inf")]}, r"value\.a\[1\]"),
    "minus infinity": (float("-inf"), "value"),
    "a zero character": ({"a": "x\0y"}, r"value\.a"),
    "a zero character in a key": ({"x\0y": 1}, "value"),
    "a lone surrogate": ("\ud800", "value"),
    "keys that are no strings": ({1: 2}, "value"),
    "bytes": (b"\xff", "value"),
    "a number without end": (10**5_000, "value"),
    "a byte too much": ("x" * 262_144, "payload"),
    "ten megabytes": ("x" * 10_000_000, "payload"),
}
TEXTS = [
    "'; DROP TABLE openqueue_run; --",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{ 7*7 }} {% debug %} %(name)s {0} $1",
    "line\r\nSet-Cookie: a=b\n2026-01-01 ERROR forged",
    "\x1b[31mred\x1b[0m \x07 \x7f",
    "\u202egnp.exe \u2066 \u200b \ufeff",
    "=cmd|' /C calc'!A0",
    "👩‍👩‍👧‍👦 é ﷽ " + "z" * 10_000,
]
DOORS: dict[str, Callable[[Any, Any], Any]] = {
    "trigger": lambda task, value: task.trigger(value),
    "trigger_many": lambda task, value: task.trigger_many([{"value": 1}, {"value": value}]),
    "by id": lambda task, value: trigger(task.id, {"value": value}),
    "bound": lambda task, value: trigger_many([task.bind(value=value)]),
}


@pytest.fixture
def anything(declare: Callable[..., Any]) -> Any:
    @declare
    def anything(value: Any) -> None: ...

    return anything


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_database_could_keep_is_refused_at_every_door(anything: Any, name: str, door: str):
    value, path = REFUSED[name]
    with pytest.raises(PayloadInvalid, match=path) as refused:
        DOORS[door](anything, value)
    assert isinstance(refused.value, ValueError)
    assert len(str(refused.value)) < 1_000
    assert not Run.objects.exists()


@pytest.mark.parametrize("name", [name for name in REFUSED if "byte" not in name])
def test_meta_is_read_as_strictly(anything: Any, name: str):
    with pytest.raises(PayloadInvalid, match="meta"):
        anything.using(meta={"value": REFUSED[name][0]}).trigger(1)
    assert not Run.objects.exists()


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_text_is_data_in_every_field_and_comes_back_as_it_went(anything: Any, text: str):
    run = anything.using(tags=[text], meta={text: text}).trigger({text: text})
    transitions.cancel_waiting([run.id], actor=text[:100])
    row = Run.objects.get()
    assert (row.payload, row.tags, row.meta) == ({"value": {text: text}}, [text], {text: text})
    assert RunEvent.objects.get(kind="cancelled").actor == text[:100]


@pytest.mark.parametrize("name", ["../../x", "a:b", "a b", "x" * 300, "*", "{tag}", "a\nb", "", "Ünï", "-a"])
def test_a_queue_is_a_plain_name(anything: Any, name: str):
    with pytest.raises(TaskDeclarationError, match="queue="):
        anything.using(queue=name).trigger(1)


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "django.core.management.call_command", "tests.core", "x\0", "é" * 300],
)
def test_an_id_is_looked_up_and_never_imported(name: str):
    with pytest.raises(UnknownTask):
        trigger(name, {})
    assert not Outbox.objects.exists()


STRANGE_SEQS = ("1.0", "1e400", "NaN", "-1", "true", "null", '"1"', "9" * 5_000)
MESSAGE = '{{"v": 1, "id": "0190a7a0-0000-7000-8000-000000000000", "seq": {seq}}}'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"3", b'"text"', b"{}", b"\xff\xfe", b"cos\nsystem\n(S'true'\ntR.",
        b"\x1f\x8b\x08\x00" + b"\0" * 99, b"[" * 100_000,
        b'{"v": 1, "id": ["a"], "seq": 1}', b'{"v": {}, "id": {}, "seq": {}}',
        *(MESSAGE.format(seq=seq).encode() for seq in STRANGE_SEQS),
    ],
    ids=range(19),
)  # fmt: skip
def test_a_message_that_is_none_is_poison_and_nothing_else(body: bytes):
    with pytest.raises(PoisonMessage):
        decode(body)


def test_of_two_equal_keys_in_a_message_one_counts_and_the_rest_is_not_read():
    body = b'{"v": 1, "v": 1, "id": "0190a7a0-0000-7000-8000-000000000000", "seq": 2, "task_id": "os.system", "x": NaN}'
    with pytest.raises(PoisonMessage):
        decode(body)
    run_id, seq = decode(body.replace(b', "x": NaN', b""))
    assert (str(run_id), seq) == ("0190a7a0-0000-7000-8000-000000000000", 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["durable", "autocommit off", "nothing"])
def test_however_a_project_commits_the_run_commits_with_it(anything: Any, how: str):
    if how == "durable":
        with transaction.atomic(durable=True):
            anything.trigger(1)
    elif how == "autocommit off":
        transaction.set_autocommit(False)
        try:
            anything.trigger(1)
            transaction.rollback()
            assert not Run.objects.exists()
            anything.trigger(1)
            transaction.commit()
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)
    else:
        anything.trigger(1)
    assert (Run.objects.count(), Outbox.objects.count()) == (1, 1)


@pytest.mark.postgresql
def test_a_server_in_another_time_zone_keeps_the_instants(anything: Any):
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'Asia/Tokyo'")
    try:
        run = anything.using(delay=60).trigger(1)
        row = Run.objects.get(pk=run.id)
        assert (row.scheduled_for - row.created_at).total_seconds() == 60
        assert row.created_at.utcoffset().total_seconds() == 0
        assert Outbox.objects.get().due_at == row.scheduled_for
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET TIME ZONE")
