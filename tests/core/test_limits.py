"""Limits as they are declared: what is refused, and what a run's keys become."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue import limits, registry
from openqueue.core import post_commit
from openqueue.declaration import Task
from openqueue.errors import PayloadInvalid, TaskDeclarationError
from openqueue.models import Outbox, Run


@pytest.fixture
def declare():
    made = []

    def declare(**options: Any) -> Task[..., Any]:
        def body(a: int, b: str = "", secret: str = "") -> None: ...

        made.append(Task(body, **{"id": f"limits.{len(made)}"} | options))
        return made[-1]

    yield declare
    for task in made:
        registry.remove(task)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_concurrency": 0}, "max_concurrency=0 must be"),
        ({"max_concurrency": True}, "max_concurrency=True must be"),
        ({"rate_limit": "10"}, "rate_limit='10' must be text such as"),
        ({"rate_limit": "0/s"}, "rate_limit='0/s'"),
        ({"rate_limit": "10001/d"}, "rate_limit='10001/d'"),
        ({"rate_limit": 10}, "rate_limit=10"),
        ({"concurrency_key": ""}, "concurrency_key='' must be text of 1 to 200"),
        ({"concurrency_key": 7}, "concurrency_key=7 must be text"),
        ({"ordering_key": "x" * 201}, "must be text of 1 to 200"),
        ({"concurrency_key": "order:a"}, "must not begin with 'order:' or 'task:'"),
        ({"ordering_key": "{a"}, "is no format"),
        ({"ordering_key": "{a.b}"}, "a field is the name of an argument alone"),
        ({"ordering_key": "{a!r}"}, "a field is the name of an argument alone"),
        ({"ordering_key": "{}"}, "a field is the name of an argument alone"),
        ({"ordering_key": "{c}"}, "names c, which the function does not take"),
        ({"concurrency_key": "{secret}", "secret": ["secret"]}, "names secret, a secret argument"),
    ],
)
def test_what_cannot_be_kept_is_refused_when_it_is_declared(declare: Any, options: dict[str, Any], said: str):
    with pytest.raises(TaskDeclarationError, match=said.replace("{", r"\{").replace("(", r"\(")):
        declare(**options)


def test_an_occasion_is_judged_like_the_declaration(declare: Any):
    task = declare()
    with pytest.raises(TaskDeclarationError, match="names c, which"):
        task.using(ordering_key="{c}")
    with pytest.raises(TaskDeclarationError, match="does not know max_concurrency"):
        task.using(max_concurrency=3)


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", (10, 1)), ("100/m", (100, 60)), ("5/h", (5, 3600)), ("1/d", (1, 86_400))]
)
def test_a_rate_is_so_many_in_a_window(text: str, rate: tuple[int, float]):
    assert limits.Rate.of(text) == rate


def test_how_many_may_hold_a_key(declare: Any):
    assert declare(concurrency_key="k").allowance("k") == (1, None)
    assert declare(max_concurrency=3).allowance("k") == (3, None)
    assert declare(rate_limit="1/s").allowance("k") == (None, (1, 1))
    assert declare().allowance("task:limits.3") == (None, None), "the limit was taken away"


@pytest.mark.django_db
def test_keys_are_made_of_the_arguments_of_each_run(declare: Any):
    task = declare(ordering_key="account:{a}", concurrency_key="{b}", max_concurrency=2)
    runs = task.trigger_many([{"a": 1, "b": "x"}, {"a": 2, "b": "{y}"}])
    kept = Run.objects.order_by("pk").values_list("ordering_key", "concurrency_key")
    assert list(kept) == [("account:1", "x"), ("account:2", "{y}")]
    assert Outbox.objects.get(pk=runs[0].id).waits_for == "order:account:1"


@pytest.mark.django_db
def test_a_limit_without_a_key_counts_by_the_task(declare: Any):
    run = declare(rate_limit="1/s").trigger(a=1)
    assert Outbox.objects.get(pk=run.id).waits_for == "task:limits.0"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"a": 1}, "b is missing, and concurrency_key='{b}' is made of it"),
        ({"a": 1, "b": ""}, "concurrency_key has 0 characters"),
        ({"a": 1, "b": "x" * 201}, "concurrency_key has 201 characters"),
        ({"a": 1, "b": "task:other"}, "concurrency_key is 'task:other', and what begins so"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_before_anything_is_written(
    declare: Any, payload: dict[str, Any], said: str
):
    with pytest.raises(PayloadInvalid) as refused:
        declare(concurrency_key="{b}").trigger(**payload)
    assert said in str(refused.value)
    assert not Run.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_trigger_of_a_limited_key_is_no_announcement_and_has_its_limit_looked_at(
    declare: Any, monkeypatch: pytest.MonkeyPatch
):
    handed: list[Any] = []
    monkeypatch.setattr(post_commit.publisher, "put", handed.append)
    declare(max_concurrency=2).trigger_many([{"a": 1}, {"a": 2}])
    assert handed == [frozenset({"task:limits.0"})]


@pytest.mark.django_db
def test_a_limited_trigger_has_as_many_statements_as_another(declare: Any):
    counts = []
    for task in (declare(), declare(max_concurrency=1, ordering_key="{a}")):
        with CaptureQueriesContext(connection) as queries:
            task.trigger(a=1)
        counts.append(len(queries))
    assert counts[0] == counts[1]
