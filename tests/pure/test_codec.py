from __future__ import annotations

import dataclasses
import enum
import importlib.util
import json
import sys
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from unittest import mock
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue.codec import MAX_DEPTH, text
from openqueue.errors import PayloadInvalid, PayloadTooLarge

LIMIT = 262_144


def without_orjson():
    """The module as it loads where orjson is not installed."""
    spec = importlib.util.spec_from_file_location("openqueue_codec_text_without_orjson", text.__file__)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"orjson": None}):
        spec.loader.exec_module(module)
    return module


SLOW = without_orjson()


@pytest.fixture(params=[text, SLOW], ids=["with-orjson", "without-orjson"], scope="module")
def codec(request):
    return request.param


def written(codec, value, *, limit: int = LIMIT) -> str:
    return codec.encode(value, what="payload", limit=limit)


def refusals(codec, value, *, limit: int = LIMIT) -> dict[str, str]:
    with pytest.raises(PayloadInvalid) as caught:
        written(codec, value, limit=limit)
    return dict(caught.value.errors)


def nested(depth: int, *, kind: type = list):
    value = kind()
    for _ in range(depth - 1):
        value = [value] if kind is list else {"in": value}
    return value


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Size(enum.IntEnum):
    SMALL = 1


class Shape(enum.StrEnum):
    ROUND = "round"


class Loud(str):
    __slots__ = ()


class Ratio(float):
    __slots__ = ()


Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Line:
    start: Point
    note: str | None = None


@dataclasses.dataclass
class Private:
    _hidden: int


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='abé"\\[]{},:\n€😀'), inner),
    max_leaves=20,
)


def test_the_two_modules_really_differ():
    assert text._orjson is not None
    assert SLOW._orjson is None


# What is written


@given(json_values)
def test_a_json_value_is_written_the_same_by_both_and_comes_back_as_it_went(value):
    fast, slow = written(text, value, limit=10**7), written(SLOW, value, limit=10**7)

    assert fast == slow
    for back in (text.decode(fast), SLOW.decode(fast)):
        assert repr(back) == repr(value)  # repr tells 1 from 1.0 and True, and -0.0 from 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [None, True]}, '{"b":1,"a":[null,true]}'),
        ("é€😀\x7f/", '"é€😀\x7f/"'),
        ('"\\\n\x01', '"\\"\\\\\\n\\u0001"'),
        ("\\u0000", '"\\\\u0000"'),
        (2**53 + 1, "9007199254740993"),
        (2**64, "18446744073709551616"),
        (-(10**40), "-1" + "0" * 40),
        (1e16, "1e+16"),
        ([1e-7, -0.00001234, 0.0001], "[1e-07,-1.234e-05,0.0001]"),
        (1e-7, "1e-07"),
        ([0.00001], "[1e-05]"),
        (-0.0, "-0.0"),
        ([1, 1.0], "[1,1.0]"),
        ((1, (2,)), "[1,[2]]"),
        (Point(1, None), "[1,null]"),
        (OrderedDict(a=(1,)), '{"a":[1]}'),
        (Private(5), '{"_hidden":5}'),
        (Line(Point(1, 2)), '{"start":[1,2],"note":null}'),
        ([Colour.RED, Colour.PAIR, Size.SMALL, Shape.ROUND], '["red",[1,2],1,"round"]'),
        ({Shape.ROUND: Loud("x")}, '{"round":"x"}'),
        ([Loud("x"), Ratio(0.5)], '["x",0.5]'),
        (datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC), '"2026-03-01T12:00:00.000005+00:00"'),
        (datetime(2026, 3, 1), '"2026-03-01T00:00:00"'),  # noqa: DTZ001 - naive ones are written too
        (datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=-3))), '"2026-03-01T00:00:00-03:00"'),
        (datetime(1880, 1, 1, tzinfo=timezone(timedelta(seconds=3208))), '"1880-01-01T00:00:00+00:53:28"'),
        ([date(2026, 3, 1), time(1, 2)], '["2026-03-01","01:02:00"]'),
        ([timedelta(days=1, seconds=2.5), timedelta(seconds=-1)], '["P1DT2.5S","-PT1S"]'),
        ([Decimal("1.10"), Decimal("1E+3")], '["1.10","1E+3"]'),
        ([UUID(int=1), None], '["00000000-0000-0000-0000-000000000001",null]'),
    ],
)
def test_this_value_is_written_like_this(codec, value, expected):
    assert written(codec, value) == expected


def test_a_shared_value_is_not_a_circle(codec):
    shared = [1]

    assert written(codec, [shared, shared]) == "[[1],[1]]"


# What is refused


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), Decimal("NaN"), Ratio("nan")])
def test_numbers_that_json_lacks_are_refused_with_their_path(codec, number):
    reasons = refusals(codec, {"items": [0, None, {"price": number}]})

    assert list(reasons) == ["payload.items[2].price"]
    assert "finite" in reasons["payload.items[2].price"]


@pytest.mark.parametrize(
    ("bad", "why"), [("a\0b", "u0000"), ("\ud800", "surrogate"), ("\udfff\ud800", "surrogate")]
)
def test_text_that_postgresql_cannot_store_is_refused_as_value_and_as_key(codec, bad, why):
    assert why in refusals(codec, {"name": ["x", bad]})["payload.name[1]"]
    assert why in refusals(codec, {"name": {bad: 1}})["payload.name"]


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"a", (1,)])
def test_keys_that_are_no_strings_are_refused(codec, key):
    assert type(key).__name__ in refusals(codec, {"a": [{key: 1}]})["payload.a[0]"]


@pytest.mark.parametrize(
    "value", [object(), {1}, frozenset(), b"x", 1j, len, Colour, Line, range(2), iter([])]
)
def test_what_has_no_json_form_is_refused_by_its_type(codec, value):
    assert type(value).__name__ in refusals(codec, {"a": value})["payload.a"]


def test_a_model_instance_is_refused_with_the_advice_to_pass_its_key(codec):
    class Invoice:
        _meta = object()
        pk = 5

    assert "primary key" in refusals(codec, {"invoice": Invoice()})["payload.invoice"]


@pytest.mark.parametrize("kind", [list, dict])
def test_depth_is_counted_in_lists_and_objects(codec, kind):
    assert codec.decode(written(codec, nested(MAX_DEPTH, kind=kind))) == nested(MAX_DEPTH, kind=kind)
    assert "deeper than 64" in next(iter(refusals(codec, nested(MAX_DEPTH + 1, kind=kind)).values()))


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_enormous_depth_is_refused_and_not_a_recursion_error(codec, depth):
    value = nested(depth)
    try:
        assert "deeper" in next(iter(refusals(codec, value).values()))
    finally:  # taken apart by hand: letting go of it all at once would recurse in C
        while value:
            value = value.pop()


def test_brackets_in_strings_are_not_depth(codec):
    value = ['[{"' * 100, {'\\"[': "]"}] + [[]] * 100

    assert codec.decode(written(codec, value)) == value


def test_brackets_in_strings_do_not_hide_depth(codec):
    value = ["]}" * 100, nested(MAX_DEPTH)]

    assert "deeper" in next(iter(refusals(codec, value).values()))


@pytest.mark.parametrize("double", [False, True])
def test_a_value_that_contains_itself_is_refused(codec, double):
    circle: dict = {"list": []}
    circle["list"] += [circle, circle] if double else [circle]

    assert refusals(codec, circle)["payload.list[0]"] == "contains itself"


def test_every_fault_is_named_and_not_only_the_first(codec):
    value = {"a": float("nan"), "odd key": [object()], "fine": 1, "b": {"c": "\0"}}

    assert list(refusals(codec, value)) == ["payload.a", "payload['odd key'][0]", "payload.b.c"]


def test_faults_are_named_up_to_a_bound(codec):
    assert len(refusals(codec, [float("nan")] * 10_000)) == 50


@pytest.mark.parametrize("key", ["\x1b[31m\u202e" * 10_000, "k" * 10_000, "é" * 10_000, "a\nb"])
def test_a_path_shows_the_head_of_a_monstrous_key_in_plain_ascii(codec, key):
    (path,) = refusals(codec, {key: float("nan")})

    assert path.isascii()
    assert path.isprintable()
    assert len(path) < 120


def test_an_object_that_cannot_be_read_is_refused_and_its_error_kept_inside(codec):
    class Broken(dict):
        def items(self):
            raise RuntimeError("no")

    assert "RuntimeError" in refusals(codec, {"a": Broken(x=1)})["payload.a"]


def test_the_limit_counts_bytes(codec):
    assert written(codec, "é" * 10, limit=22)
    assert "22 bytes" in refusals(codec, "é" * 10, limit=21)["payload"]


def test_too_large_is_an_error_of_its_own_and_a_value_error(codec):
    with pytest.raises(PayloadTooLarge) as caught:
        written(codec, "x" * LIMIT)

    assert isinstance(caught.value, ValueError)


def test_an_integer_above_pythons_own_limit_is_refused(codec):
    assert "digits" in refusals(codec, {"n": 10**5_000})["payload.n"]
    assert codec.decode(written(codec, 10**3_900)) == 10**3_900


# What is read


@given(st.text(alphabet='[]{}",:\\u0dD8eE+-.1239 \nnulltruefasNI', max_size=30) | json_values.map(json.dumps))
def test_both_read_the_same_value_or_both_refuse(source):
    def outcome(codec):
        try:
            return repr(codec.decode(source))
        except PayloadInvalid:
            return "refused"

    assert outcome(text) == outcome(SLOW)


@pytest.mark.parametrize(
    "source",
    [
        "",
        " ",
        "{",
        "[1,]",
        "{'a':1}",
        "nul",
        "01",
        "1.",
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        "[1e400]",
        "[-1e999]",
        "9" * 400 + ".0",
        "9" * 5_000,
        '"\\ud800"',
        '{"\\udc00":1}',
        '"\\u0000"',
        '"\ud800"',
        '"\0"',
        '"\n"',
        "\ufeff1",
        "[" * 65 + "]" * 65,
        "[" * 100_000,
        '{"a":' * 100_000,
        "]" * 70 + "[" * 70,
        '"' + "[" * 70,
    ],
)
def test_this_text_is_refused(codec, source):
    with pytest.raises(PayloadInvalid):
        codec.decode(source)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (' {"a" : [1, 2.50] }\n', {"a": [1, 2.5]}),
        ('{"a":1,"a":2}', {"a": 2}),
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ('"\\ud83d\\ude00"', "😀"),
        ("1e-400", 0.0),
        ("[" * 64 + "]" * 64, nested(64)),
        ("[" + "[" * 63 + "]" * 63 + ",[]" * 9 + "]", [nested(63)] + [[]] * 9),
        ("[" + ",".join(["[]"] * 100) + "]", [[]] * 100),
        ('["' + "[" * 70 + '"]', ["[" * 70]),
        ('["\\"' + "[" * 70 + '\\\\",[]]', ['"' + "[" * 70 + "\\", []]),
    ],
)
def test_this_text_is_read_like_this(codec, source, value):
    assert codec.decode(source) == value


def test_the_root_of_a_path_is_what_the_caller_reads(codec):
    with pytest.raises(PayloadInvalid) as caught:
        codec.decode('["\\u0000"]', what="body")

    assert caught.value.errors[0].path == "body[0]"
