from __future__ import annotations

import dataclasses
import enum
import json
import timeit
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from time import thread_time
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    Union,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue.codec import decode, encode
from openqueue.errors import PayloadInvalid, TaskDeclarationError
from openqueue.signature import Signature

if TYPE_CHECKING:
    from nowhere import Unimported

    from openqueue.context import TaskContext

MICROSECOND = 1e-6
CustomerId = NewType("CustomerId", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Status(enum.StrEnum):
    PAID = "paid"


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Point(NamedTuple):
    x: int
    y: Decimal = Decimal("0.5")


class Address(TypedDict):
    street: str
    zip: NotRequired[int]


@dataclasses.dataclass
class Line:
    sku: str
    price: Decimal
    count: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    id: UUID
    placed: datetime
    lines: list[Line]
    address: Address | None = None
    tags: frozenset[str] = frozenset()


@dataclasses.dataclass
class Rush(Line):
    fee: int = 5


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Positive:
    value: int

    def __post_init__(self):
        if self.value < 0:
            raise ValueError("value is below nothing")


class Tagged(msgspec.Struct, tag="t", frozen=True):
    a: int
    b: tuple[int, str] = (1, "x")


class Person(pydantic.BaseModel):
    name: str
    born: date
    nick: str | None = pydantic.Field(default=None, alias="nickName")


class Login(pydantic.BaseModel):
    password: pydantic.SecretStr


class Invoice:
    """What a Django model looks like from outside."""

    _meta = object()
    pk = 7


def function_of(hint: Any, **default: Any) -> Callable[..., None]:
    def body(value, **more): ...

    body.__annotations__ = {"value": hint}
    return body


def signature_of(hint: Any) -> Signature:
    return Signature.of(function_of(hint))


def journey(signature: Signature, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments after they have been written and read as a run's payload is."""
    payload = signature.dump(args, kwargs)
    assert json.loads(json.dumps(payload)) == payload, "not plain JSON"
    return signature.load(decode(encode(payload, what="payload", limit=10**6)))


def wrong(signature: Signature, *args: Any, **kwargs: Any) -> dict[str, str]:
    with pytest.raises(PayloadInvalid) as caught:
        signature.dump(args, kwargs)
    return dict(caught.value.errors)


def invoice(ctx, invoice_id: int, copy_to: str | None = None, *, urgent: bool = False): ...


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

BERLIN = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

ROUND_TRIPS = [
    (int, 2**70),
    (int, -5),
    (float, 1.5),
    (str, "é\n😀"),
    (bool, True),
    (None, None),
    (bytes, b"\0\xff"),
    (CustomerId, 5),
    (Annotated[int, "any remark"], 5),
    (Annotated[int, ["an unhashable remark"]], 5),
    (list[object], [{"a": None}]),
    (Optional[int], None),  # noqa: UP045
    (Optional[int], 5),  # noqa: UP045
    (Union[int, str, None], "5"),  # noqa: UP007
    (int | str, 5),
    (int | str, "5"),
    (int | float, 5),
    (float | int, 5),
    (float | int, 5.0),
    (int | bool, True),
    (Decimal | int, 5),
    (Decimal | int, Decimal("5.0")),
    (timedelta | int, 5),
    (Literal["a", 1, None], 1),
    (Literal["a", 1, None], None),
    (Literal[True, "auto"], True),
    (Literal[True, "auto"], "auto"),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (Status, Status.PAID),
    (list[Colour], [Colour.BLUE]),
    (Colour | None, Colour.BLUE),
    (Colour | int, Colour.BLUE),
    (date, date(2026, 2, 28)),
    (time, time(1, 2, 3, 4)),
    (time, time(1, 2, tzinfo=UTC)),
    (datetime, datetime(2026, 2, 28, 1, 2, 3, 4)),  # noqa: DTZ001
    (datetime, datetime(2026, 2, 28, tzinfo=UTC)),
    (datetime, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-11, minutes=-30)))),
    (datetime, datetime.max),  # noqa: DTZ901
    (datetime, BERLIN),
    (datetime | None, BERLIN),
    (timedelta, timedelta(days=-3, microseconds=1)),
    (timedelta, timedelta.max),
    (UUID, UUID(int=2**127 + 5)),
    (Decimal, Decimal("1.100")),
    (Decimal, Decimal("-0")),
    (Decimal, Decimal("1E+30")),
    (Decimal, Decimal("0." + "1" * 60)),
    (list, [1, "a", None]),
    (list[int], [1, 2]),
    (Sequence[int], [1, 2]),
    (tuple, (1, "a")),
    (tuple[int, ...], (1, 2)),
    (tuple[int, str, Decimal], (1, "a", Decimal("1.0"))),
    (tuple[()], ()),
    (set[UUID], {UUID(int=1), UUID(int=2)}),
    (frozenset[date], frozenset({date(2026, 1, 1)})),
    (dict, {"a": [1]}),
    (dict[str, datetime], {"at": BERLIN}),
    (Mapping[str, int], {"a": 1}),
    (dict[int, str], {5: "five", -1: "x"}),
    (dict[UUID, int], {UUID(int=1): 1}),
    (dict[date, list[Decimal]], {date(2026, 1, 1): [Decimal("1.0")]}),
    (dict[Level, int], {Level.LOW: 1}),
    (dict[Colour, int], {Colour.RED: 1}),
    (dict[float, int], {1.5: 1, 1e22: 2}),
    (dict[str, Any], {"a": {"b": [1, None]}}),
    (list[tuple[int, set[str]]], [(1, {"a"}), (2, set())]),
    (Point, Point(1, Decimal("2.50"))),
    (list[Point], [Point(1)]),
    (Address, {"street": "x"}),
    (Address, {"street": "x", "zip": 5}),
    (Line, Line("a", Decimal("1.10"), 3)),
    (Line | None, Line("a", Decimal("1.10"))),
    (Line | int, Line("a", Decimal("1.10"))),
    (Order, Order(id=UUID(int=1), placed=BERLIN, lines=[Line("a", Decimal("1"))], tags=frozenset({"x"}))),
    (Tree, Tree("root", [Tree("leaf"), Tree("twig", [Tree("leaf")])])),
    (Tagged, Tagged(1, (2, "y"))),
    (Person, Person(name="x", born=date(2000, 1, 1), nickName="y")),
    (list[Person], [Person(name="x", born=date(2000, 1, 1))]),
    (dict[str, Person | None], {"a": None, "b": Person(name="x", born=date(2000, 1, 1))}),
]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, datetime):
        # not ==: Python finds a wall time that its zone skips or repeats unequal to every other
        clock = one.replace(tzinfo=None, fold=0) == other.replace(tzinfo=None)
        return clock and one.utcoffset() == other.utcoffset() and type(other) is datetime
    if isinstance(one, Decimal):
        return str(one) == str(other) and type(other) is Decimal
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


@pytest.mark.parametrize(("hint", "value"), ROUND_TRIPS, ids=repr)
def test_a_value_comes_back_exactly_as_it_went(hint, value):
    assert same(value, journey(signature_of(hint), value)["value"])


@pytest.mark.parametrize(("hint", "value"), ROUND_TRIPS, ids=repr)
def test_the_json_form_of_a_value_passes_for_the_value(hint, value):
    """Callers by id, the command line and the API have only JSON."""
    signature = signature_of(hint)
    payload = signature.dump((value,), {})

    assert signature.dump((), payload) == payload


@pytest.mark.parametrize(("hint", "value"), ROUND_TRIPS, ids=repr)
def test_every_hint_has_a_json_schema(hint, value):
    schema = signature_of(hint).json_schema()

    assert list(schema["properties"]) == ["value"]
    assert json.dumps(schema)


moments = st.datetimes() | st.datetimes(timezones=st.timezones())


@given(moments.filter(lambda m: not (m.utcoffset() or timedelta()) % timedelta(minutes=1)))
def test_every_moment_comes_back(moment):
    assert same(moment, journey(signature_of(datetime), moment)["value"])


@given(st.timedeltas())
def test_every_duration_comes_back(duration):
    assert journey(signature_of(timedelta), duration) == {"value": duration}


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_decimal_keeps_its_digits(number):
    assert same(number, journey(signature_of(Decimal), number)["value"])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back(number):
    assert repr(journey(signature_of(float), number)["value"]) == repr(number)


@pytest.mark.parametrize(
    ("hint", "given_", "received"),
    [
        (float, 5, 5.0),
        (list[int], (1, 2), [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (set[int], [1, 2], {1, 2}),
        (Decimal, 5, Decimal(5)),
        (Decimal, "5.10", Decimal("5.10")),
        (datetime, "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        (UUID, "00000000-0000-0000-0000-000000000001", UUID(int=1)),
        (Colour, "red", Colour.RED),
        (str, Status.PAID, "paid"),
        (int, Level.HIGH, 2),
        (Line, {"sku": "a", "price": "1.0"}, Line("a", Decimal("1.0"))),
        (Point, (1, "2.5"), Point(1, Decimal("2.5"))),
        (dict[int, int], {"5": 1}, {5: 1}),
        (Person, {"name": "x", "born": "2000-01-01"}, Person(name="x", born=date(2000, 1, 1))),
    ],
)
def test_the_body_gets_the_type_it_asked_for(hint, given_, received):
    assert same(received, journey(signature_of(hint), given_)["value"])


@pytest.mark.parametrize(
    ("hint", "value", "reason"),
    [
        (int, True, "must be int, not bool"),
        (int, "5", "must be int, not str"),
        (int, 5.0, "must be int, not float"),
        (int, None, "must be int, not None"),
        (int, Decimal(5), "must be int, not Decimal"),
        (float, "1.5", "must be float, not str"),
        (float, True, "must be float, not bool"),
        (float, Decimal("1.5"), "must be float, not Decimal"),
        (float, 10**400, "exactly"),
        (float, 2**53 + 1, "exactly"),
        (bool, 1, "must be bool, not int"),
        (str, 5, "must be str, not int"),
        (str, b"x", "must be str, not bytes"),
        (str, UUID(int=1), "must be str, not UUID"),
        (str, date(2026, 1, 1), "must be str, not date"),
        (None, 0, "must be None, not int"),
        (int | None, "x", "must be int or None, not str"),
        (int | str, 1.5, "must be int or str, not float"),
        (Literal["a", 1], "b", "must be one of 1, 'a'"),
        (Literal["a", 1], True, "must be one of 1, 'a'"),
        (Literal["a", 1], 1.0, "must be one of 1, 'a'"),
        (Colour, "green", "must be Colour, one of 'red', 'blue'"),
        (Colour, Status.PAID, "Colour"),
        (Colour, 5, "Colour"),
        (Level, 3, "Level"),
        (Level, True, "Level"),
        (date, datetime(2026, 1, 1, tzinfo=UTC), "must be date, not datetime"),
        (datetime, date(2026, 1, 1), "must be datetime, not date"),
        (datetime, "yesterday", "must be datetime"),
        (datetime, 1_700_000_000, "must be datetime, not int"),
        (datetime, datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "whole minutes"),
        (time, time(1, tzinfo=ZoneInfo("Europe/Berlin")), "whole minutes"),
        (timedelta, 5, "must be timedelta, not int"),
        (UUID, "nope", "must be UUID"),
        (Decimal, 1.5, "digits"),
        (Decimal, True, "must be Decimal, not bool"),
        (Decimal, Decimal("NaN"), "finite"),
        (Decimal, "Infinity", "finite"),
        (Decimal, "five", "must be Decimal"),
        (bytes, "not base64!", "must be bytes"),
        (list[int], {1, 2}, "must be list, not set"),
        (list[int], "12", "must be list, not str"),
        (list[int], {"a": 1}, "must be list, not dict"),
        (set[int], "12", "must be set, not str"),
        (tuple[int, str], (1,), "must have 2 items, not 1"),
        (tuple[int, str], "ab", "must be tuple, not str"),
        (Point, (), "must have the items x, y"),
        (Point, (1, Decimal(1), 3), "must have the items x, y"),
        (Point, {"x": 1}, "must be Point, not dict"),
        (dict[str, int], [("a", 1)], "must be dict, not list"),
        (dict[str, int], {5: 1}, "keys are strings"),
        (Line, "a", "must be Line, not str"),
        (Line, Rush("a", Decimal(1)), "is a Rush, and would come back as Line"),
        (Address, Line("a", Decimal(1)), "must be Address, not Line"),
        (Person, Line("a", Decimal(1)), "must be Person, not Line"),
        (Annotated[int, msgspec.Meta(ge=1)], 0, ">= 1"),
        (Annotated[str, msgspec.Meta(max_length=2)], "abc", "<= 2"),
        (Positive, Positive, "must be Positive, not type"),
        (Positive, {"value": -1}, "below nothing"),
        (Login, Login(password="x"), "does not bring back"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_the_reason(hint, value, reason):
    faults = wrong(signature_of(hint), value)

    assert list(faults) == ["value"]
    assert reason in faults["value"]


@pytest.mark.parametrize(
    ("hint", "value", "paths"),
    [
        (list[int], [1, "a", 2, None], ["value[1]", "value[3]"]),
        (set[int], ["a"], ["value[0]"]),
        (tuple[int, str], (1, 2), ["value[1]"]),
        (dict[str, int], {"a": "x", "b c": None}, ["value.a", "value['b c']"]),
        (dict[int, int], {"five": 1}, ["value"]),
        (Point, ("x", True), ["value.x", "value.y"]),
        (Line, {"price": 1.5, "colour": "red"}, ["value.price", "value.colour", "value.sku"]),
        (Line, Line(5, 1.5, "x"), ["value.sku", "value.price", "value.count"]),  # type: ignore[arg-type]
        (Address, {"street": 5, "city": "x"}, ["value.street", "value.city"]),
        (Address, {}, ["value.street"]),
        (
            list[Line] | None,
            [{"sku": 5, "price": 1}, Line("a", Decimal("NaN"))],
            ["value[0].sku", "value[1].price"],
        ),
        (Tree, Tree("a", [Tree("b", [Tree(5)])]), ["value.children[0].children[0].name"]),  # type: ignore[arg-type]
        (Tagged, {"a": "x"}, ["value.a"]),
        (Person, {"name": 5, "born": "soon"}, ["value.name", "value.born"]),
        (list[Person], [{"name": "x"}], ["value[0].born"]),
        (dict[str, Any], {"a": [object()], "b": {1: 2}}, ["value.a[0]", "value.b"]),
    ],
)
def test_every_wrong_place_inside_a_value_is_named(hint, value, paths):
    assert list(wrong(signature_of(hint), value)) == paths


def test_a_reason_never_quotes_the_value():
    class Card(pydantic.BaseModel):
        number: int

    for hint in (int, UUID, Colour, Line, Card, list[Card], datetime, Literal["a"], tuple[int, int]):
        for value in ("4111-1111", {"number": "4111-1111"}, [{"number": "4111-1111"}]):
            assert "4111" not in str(wrong(signature_of(hint), value))


def test_a_hint_need_not_say_optional_where_the_default_is_none():
    def body(a: int = None, b: Line = None): ...  # noqa: RUF013

    assert journey(Signature.of(body), None, b=None) == {"a": None, "b": None}


def test_hints_are_resolved_from_strings():
    def body(a: "list[Line]", b: "Optional[Decimal]"): ...  # noqa: UP037, UP045

    assert journey(Signature.of(body), [Line("a", Decimal(1))], Decimal("1.0")) == {
        "a": [Line("a", Decimal(1))],
        "b": Decimal("1.0"),
    }


# JSON Schema


def test_the_json_schema_says_what_a_form_needs():
    def body(
        ctx, number: int, line: Line, kind: Literal["a", "b"] = "a", *, at: datetime | None = None, more=1
    ): ...

    assert Signature.of(body).json_schema() == {
        "type": "object",
        "properties": {
            "number": {"type": "integer"},
            "line": {"$ref": "#/$defs/Line"},
            "kind": {"enum": ["a", "b"], "default": "a"},
            "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
            "more": {"default": 1},
        },
        "required": ["number", "line"],
        "additionalProperties": False,
        "$defs": {
            "Line": {
                "title": "Line",
                "type": "object",
                "properties": {
                    "sku": {"type": "string"},
                    "price": {"type": "string", "format": "decimal"},
                    "count": {"type": "integer", "default": 1},
                },
                "required": ["sku", "price"],
            }
        },
    }


def test_open_keywords_are_open_in_the_json_schema():
    def body(a: int, **more: str): ...

    schema = Signature.of(body).json_schema()

    assert list(schema["properties"]) == ["a"]
    assert schema["additionalProperties"] == {"type": "string"}


def test_definitions_of_pydantic_are_found_at_the_top():
    class Team(pydantic.BaseModel):
        members: list[Person]

    schema = signature_of(Team).json_schema()

    assert schema["$defs"]["Person"]["properties"]["name"]["type"] == "string"
    assert "$defs" not in schema["properties"]["value"]


# Cost


def no_hints(a, b=1, *, c=None): ...


@pytest.mark.parametrize(
    ("function", "payload"),
    [(no_parameters, {}), (no_hints, {"a": 1, "b": "x", "c": None}), (without, {"a": [1] * 1_000})],
)
def test_loading_without_hints_costs_under_three_microseconds(function, payload):
    signature = Signature.of(function)
    rounds = timeit.repeat(lambda: signature.load(payload), timer=thread_time, number=1_000, repeat=25)

    assert min(rounds) / 1_000 < 3 * MICROSECOND
