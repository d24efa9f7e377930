from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
)
from uuid import UUID

import msgspec
import pydantic
import pytest

from openqueue.codec import decode, encode
from openqueue.errors import PayloadInvalid
from openqueue.signature import Signature

if TYPE_CHECKING:
    pass
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
