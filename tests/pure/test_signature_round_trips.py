from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Optional,
    Union,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue.signature import Signature
from tests.pure.shapes import (
    Address,
    Colour,
    CustomerId,
    Level,
    Line,
    Login,
    Order,
    Person,
    Point,
    Positive,
    Rush,
    Status,
    Tagged,
    Tree,
    journey,
    signature_of,
    wrong,
)

if TYPE_CHECKING:
    pass
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
