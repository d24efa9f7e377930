from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pydantic
import pytest
from rest_framework import serializers

from openqueue.errors import PayloadInvalid, TaskDeclarationError
from openqueue.signature import Signature


class Line(pydantic.BaseModel):
    sku: str
    count: int = pydantic.Field(default=1, ge=1)


class OrderModel(pydantic.BaseModel):
    number: int
    placed: datetime
    lines: list[Line] = []
    password: pydantic.SecretStr | None = None


class LineSerializer(serializers.Serializer):
    sku = serializers.CharField(max_length=5)
    count = serializers.IntegerField(default=1, min_value=1)


class OrderSerializer(serializers.Serializer):
    id = serializers.UUIDField(read_only=True)
    number = serializers.IntegerField(help_text="As printed")
    placed = serializers.DateTimeField()
    price = serializers.DecimalField(max_digits=6, decimal_places=2, required=False)
    lines = LineSerializer(many=True, required=False)
    kind = serializers.ChoiceField(["a", "b"], required=False)
    note = serializers.CharField(required=False, allow_null=True)
    password = serializers.CharField(write_only=True, required=False)

    def validate(self, attrs):
        if attrs.get("note") == "never":
            raise serializers.ValidationError("not like this")
        return attrs


def order(ctx, number, placed, lines=(), price=None, kind=None, note=None, password=None): ...


WITH_MODEL = Signature.of(order, schema=OrderModel)
WITH_SERIALIZER = Signature.of(order, schema=OrderSerializer)
BOTH = pytest.mark.parametrize("signature", [WITH_MODEL, WITH_SERIALIZER], ids=["pydantic", "serializer"])
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class Kind(enum.Enum):
    A = "a"


def wrong(signature: Signature, *args, **kwargs) -> dict[str, str]:
    with pytest.raises(PayloadInvalid) as caught:
        signature.dump(args, kwargs)
    return dict(caught.value.errors)


@BOTH
def test_the_payload_is_what_was_given_as_json_and_the_arguments_are_what_was_validated(signature):
    payload = signature.dump((5,), {"placed": MOMENT, "lines": [{"sku": "x"}]})
    arguments = signature.load(json.loads(json.dumps(payload)))

    assert payload == {"number": 5, "placed": "2026-01-01T00:00:00+00:00", "lines": [{"sku": "x"}]}
    assert (arguments["number"], arguments["placed"]) == (5, MOMENT)
    assert dict(arguments["lines"][0]) == {"sku": "x", "count": 1}


@BOTH
def test_every_fault_is_listed_with_its_path(signature):
    faults = wrong(signature, "five", lines=[{"sku": "a"}, {"sku": "b", "count": 0}], colour="red")

    assert set(faults) == {"number", "placed", "lines[1].count", "colour"}
    assert faults["colour"].startswith("is not an argument of order, which takes: number, placed, ")


@BOTH
def test_what_has_no_json_form_is_refused(signature):
    assert "no JSON form" in wrong(signature, 5, placed=object())["placed"]


@BOTH
def test_an_old_payload_that_no_longer_fits_is_refused(signature):
    with pytest.raises(PayloadInvalid, match="placed"):
        signature.load({"number": 5})


@BOTH
def test_a_secret_is_stored_whole_and_not_as_stars(signature):
    payload = signature.dump((5, MOMENT), {"password": "hunter2"})
    password = signature.load(payload)["password"]

    assert payload["password"] == "hunter2"
    assert getattr(password, "get_secret_value", lambda: password)() == "hunter2"


def test_a_model_brings_its_defaults_along():
    assert WITH_MODEL.load({"number": 5, "placed": "2026-01-01T00:00:00Z"})["lines"] == []


def test_values_of_every_plain_type_are_written_for_a_serializer():
    payload = WITH_SERIALIZER.dump((5, MOMENT), {"price": Decimal("1.10"), "kind": Kind.A, "lines": ()})

    assert payload == {
        "number": 5,
        "placed": "2026-01-01T00:00:00+00:00",
        "price": "1.10",
        "kind": "a",
        "lines": [],
    }
    assert WITH_SERIALIZER.load(payload)["price"] == Decimal("1.10")


def test_what_the_serializer_says_of_the_whole_is_a_fault_of_the_payload():
    assert wrong(WITH_SERIALIZER, 5, MOMENT, note="never") == {"payload": "not like this"}


def test_a_field_that_is_only_read_is_no_argument():
    assert "is not an argument" in wrong(WITH_SERIALIZER, 5, MOMENT, id=UUID(int=1))["id"]


def test_a_model_with_an_alias_is_called_by_it_and_gives_the_name():
    class Renamed(pydantic.BaseModel):
        born: date = pydantic.Field(alias="birthDay")

    def body(born): ...

    signature = Signature.of(body, schema=Renamed)

    assert signature.load(signature.dump((), {"birthDay": date(2000, 1, 1)})) == {"born": date(2000, 1, 1)}


@pytest.mark.parametrize(
    "schema", [5, OrderSerializer(), OrderModel.model_construct(), dict, "shop.OrderSerializer"]
)
def test_another_kind_of_schema_is_refused_when_declared(schema):
    with pytest.raises(TaskDeclarationError, match="pydantic model, or a serializer"):
        Signature.of(order, schema=schema)


def test_a_schema_can_be_checked_beforehand():
    WITH_MODEL.check()
    WITH_SERIALIZER.check()


def test_the_json_schema_is_that_of_the_model():
    assert WITH_MODEL.json_schema() == OrderModel.model_json_schema()


def test_the_json_schema_of_a_serializer_says_what_a_form_needs():
    assert WITH_SERIALIZER.json_schema() == {
        "type": "object",
        "properties": {
            "number": {"type": "integer", "description": "As printed"},
            "placed": {"type": "string", "format": "date-time"},
            "price": {"type": "string", "format": "decimal"},
            "lines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "sku": {"type": "string", "maxLength": 5},
                        "count": {"type": "integer", "minimum": 1},
                    },
                    "required": ["sku"],
                    "additionalProperties": False,
                },
            },
            "kind": {"enum": ["a", "b"]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "password": {"type": "string"},
        },
        "required": ["number", "placed"],
        "additionalProperties": False,
    }
