from __future__ import annotations

import timeit
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import thread_time
from typing import (
    TYPE_CHECKING,
    Any,
)
from uuid import UUID

import pytest

from openqueue.errors import PayloadInvalid, TaskDeclarationError
from openqueue.signature import Signature
from tests.pure.shapes import (
    MICROSECOND,
    Address,
    Colour,
    Invoice,
    Level,
    Line,
    Mixed,
    Person,
    Status,
    invoice,
    journey,
    signature_of,
    wrong,
)

if TYPE_CHECKING:
    from nowhere import Unimported

    from openqueue.context import TaskContext


# Binding


@pytest.mark.parametrize(
    ("args", "kwargs", "payload"),
    [
        ((1,), {}, {"invoice_id": 1}),
        ((1, "a@b.c"), {}, {"invoice_id": 1, "copy_to": "a@b.c"}),
        ((1,), {"urgent": True}, {"invoice_id": 1, "urgent": True}),
        ((), {"copy_to": None, "invoice_id": 1}, {"invoice_id": 1, "copy_to": None}),
    ],
)
def test_arguments_are_stored_by_name_and_defaults_are_not(args, kwargs, payload):
    signature = Signature.of(invoice)

    assert signature.dump(args, kwargs) == payload
    assert signature.load(payload) == payload


def test_everything_wrong_is_listed_at_once():
    faults = wrong(Signature.of(invoice), copy_to=5, urgent="yes", colour="red")

    assert faults == {
        "copy_to": "must be str or None, not int",
        "urgent": "must be bool, not str",
        "colour": "is not an argument of invoice, which takes: invoice_id, copy_to, urgent",
        "invoice_id": "is missing",
    }


def test_an_argument_cannot_be_given_twice():
    assert "by place and by name" in wrong(Signature.of(invoice), 1, invoice_id=2)["invoice_id"]


def test_more_arguments_than_places_are_refused():
    assert (
        wrong(Signature.of(invoice), 1, "a", True)["arguments"]
        == "takes 2 arguments by place, and 3 were given"
    )


@pytest.mark.parametrize("name", [5, None, "\ud800\0" * 1_000, ""])
def test_an_odd_name_is_refused_like_any_unknown_one(name):
    with pytest.raises(PayloadInvalid) as caught:
        Signature.of(invoice).dump((), {"invoice_id": 1, name: 2})

    ((path, _),) = caught.value.errors
    assert path.isascii()
    assert len(path) < 100


def test_a_function_without_parameters_takes_nothing():
    def nothing(): ...

    assert journey(Signature.of(nothing)) == {}
    assert "takes: nothing" in wrong(Signature.of(nothing), a=1)["a"]


def test_keyword_parameters_of_any_name_are_taken_and_typed():
    def report(kind: str, **options: date): ...

    signature = Signature.of(report)

    assert journey(signature, "daily", since=date(2026, 1, 1)) == {"kind": "daily", "since": date(2026, 1, 1)}
    assert wrong(signature, "daily", since=5) == {"since": "must be date, not int"}
    assert wrong(signature, "daily", options=5) == {"options": "must be date, not int"}


def test_an_async_function_is_read_like_any_other():
    async def fetch(ctx: TaskContext, url: str, *, at: datetime): ...

    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert Signature.of(fetch).takes_context
    assert journey(Signature.of(fetch), "x", at=moment) == {"url": "x", "at": moment}


def test_a_wrapped_function_is_read_through_its_wrapper():
    import functools

    @functools.wraps(invoice)
    def wrapper(*args, **kwargs): ...

    assert Signature.of(wrapper).dump((1,), {}) == {"invoice_id": 1}


# The payload that comes back


@pytest.mark.parametrize("payload", [None, [], "x", 5])
def test_a_payload_that_is_no_object_is_refused(payload):
    with pytest.raises(PayloadInvalid):
        Signature.of(invoice).load(payload)


def test_a_payload_of_an_older_signature_is_refused_with_every_reason():
    with pytest.raises(PayloadInvalid) as caught:
        Signature.of(invoice).load({"number": 1, "copy_to": 5})

    assert [path for path, _ in caught.value.errors] == ["number", "copy_to", "invoice_id"]


def test_loading_leaves_the_payload_as_it_was():
    payload = {"value": "2026-01-01"}
    signature_of(date).load(payload)

    assert payload == {"value": "2026-01-01"}


# The context


def annotated(ctx_: TaskContext, a): ...
def named(ctx, a): ...
def qualified(c: context.TaskContext, a): ...  # noqa: F821 - resolved by nobody
def by_place(ctx, /, a): ...
def without(a): ...


@pytest.mark.parametrize("function", [annotated, named, qualified, by_place])
def test_the_context_is_known_by_name_or_hint(function):
    signature = Signature.of(function)

    assert signature.takes_context
    assert journey(signature, 1) == {"a": 1}


def test_other_functions_take_no_context_unless_told():
    assert not Signature.of(without).takes_context
    assert Signature.of(without, takes_context=True).takes_context
    assert Signature.of(without, takes_context=True).dump((), {}) == {}
    assert not Signature.of(named, takes_context=False).takes_context
    assert journey(Signature.of(named, takes_context=False), ctx=1, a=2) == {"ctx": 1, "a": 2}


def test_a_real_class_of_that_name_is_known_too():
    class TaskContext: ...

    def body(c, a): ...

    body.__annotations__ = {"c": TaskContext}

    assert Signature.of(body).takes_context


def test_the_context_is_not_an_argument():
    def body(ctx, **rest): ...

    assert wrong(Signature.of(named), 1, ctx=5) == {"ctx": "is the context, which the worker gives"}
    assert wrong(Signature.of(body), ctx=5) == {"ctx": "is the context, which the worker gives"}


# Declarations that cannot work


def places(*numbers): ...
def only_places(a, /): ...
def late_context(a, context_: TaskContext): ...
def named_context(*, ctx): ...
def no_parameters(): ...


@pytest.mark.parametrize(
    ("function", "takes_context", "advice"),
    [
        (places, None, "list parameter"),
        (only_places, None, "remove the `/`"),
        (late_context, None, "the first parameter"),
        (named_context, None, "the first parameter"),
        (no_parameters, True, "the first parameter"),
        (places, True, "the first parameter"),
        (5, None, "signature"),
    ],
)
def test_a_function_that_no_payload_can_fill_is_refused_when_declared(function, takes_context, advice):
    with pytest.raises(TaskDeclarationError, match=advice):
        Signature.of(function, takes_context=takes_context)


def unimported(ctx: TaskContext, a: Unimported) -> Unimported: ...
def unimported_result(ctx: TaskContext, a: int) -> Unimported: ...


def test_a_hint_that_cannot_be_resolved_is_told_at_first_use_with_the_remedy():
    signature = Signature.of(unimported)

    for use in (lambda: signature.dump((1,), {}), lambda: signature.load({"a": 1}), signature.check):
        with pytest.raises(TaskDeclarationError, match=r"unimported: .*`a`.*Unimported.*run time"):
            use()


def test_hints_that_carry_no_argument_need_not_be_resolvable():
    assert journey(Signature.of(unimported_result), 5) == {"a": 5}


@pytest.mark.parametrize(
    ("hint", "advice"),
    [
        (Invoice, "primary key"),
        (list[Invoice], "primary key"),
        (complex, "complex has no JSON form"),
        (dict[str, complex | None], "complex"),
        (Callable[[], int], "Callable"),
        (dict[tuple[int, int], int], "keys"),
        (dict[int | None, int], "keys"),
        (datetime | date, "str-like"),
        (UUID | str, "str-like"),
        (list[int] | set[int], "array"),
        (Line | Address, "dict-like"),
        (Mixed, "str or all int"),
        ("1 +", "Forward reference"),
    ],
)
def test_a_hint_that_json_cannot_carry_is_refused_with_advice(hint, advice):
    with pytest.raises(TaskDeclarationError, match=advice):
        signature_of(hint).check()


# Values without a hint


@pytest.mark.parametrize("value", [None, True, 5, 2**70, 1.5, "x", [], {}, [{"a": [None, {"b": 1}]}]])
def test_a_parameter_without_a_hint_takes_any_json(value):
    for hint in (Any, object):
        assert repr(journey(signature_of(hint), value)["value"]) == repr(value)
    assert journey(Signature.of(without), value) == {"a": value}


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1},
        frozenset(),
        b"x",
        date(2026, 1, 1),
        datetime(2026, 1, 1, tzinfo=UTC),
        time(1),
        timedelta(1),
        UUID(int=1),
        Decimal(1),
        Colour.RED,
        Line("a", Decimal(1)),
        Person(name="x", born=date(2026, 1, 1)),
    ],
)
def test_what_would_come_back_as_something_else_asks_for_a_hint(value):
    assert "hinted" in wrong(Signature.of(without), [value])["a[0]"]


@pytest.mark.parametrize("value", [object(), 1j, range(3), (n for n in ()), Line])
def test_what_has_no_json_form_is_refused(value):
    assert "no JSON form" in wrong(Signature.of(without), {"deep": value})["a.deep"]


def test_keys_that_are_no_strings_are_refused():
    assert "keys are strings" in wrong(Signature.of(without), {"deep": {5: 1}})["a.deep"]


def test_text_and_numbers_of_a_subclass_are_stored_plainly():
    class Safe(str):
        __slots__ = ()

    payload = Signature.of(without).dump(([Safe("x"), Status.PAID, Level.HIGH],), {})

    assert [type(item) for item in payload["a"]] == [str, str, int]
    assert payload == {"a": ["x", "paid", 2]}


def test_a_value_that_contains_itself_is_refused():
    circle: list = []
    circle.append(circle)

    assert "contains itself" in wrong(Signature.of(without), circle)["a"]


@pytest.mark.parametrize("hint", [Any, int, str, int | None, list[int], Line, dict[str, Any]])
def test_a_model_instance_is_refused_with_the_advice_to_pass_its_key(hint):
    assert "primary key" in wrong(signature_of(hint), Invoice())["value"]


def test_a_model_instance_inside_is_found_too():
    assert "primary key" in wrong(signature_of(list[int]), [1, Invoice()])["value[1]"]


# Values with a hint


def no_hints(a, b=1, *, c=None): ...


@pytest.mark.parametrize(
    ("function", "payload"),
    [(no_parameters, {}), (no_hints, {"a": 1, "b": "x", "c": None}), (without, {"a": [1] * 1_000})],
)
def test_loading_without_hints_costs_under_three_microseconds(function, payload):
    signature = Signature.of(function)
    rounds = timeit.repeat(lambda: signature.load(payload), timer=thread_time, number=1_000, repeat=25)

    assert min(rounds) / 1_000 < 3 * MICROSECOND
