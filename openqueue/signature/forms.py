"""The JSON form of a Python value, as its type hint asks for it, or everything that is wrong with it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec
import msgspec.inspect as kinds

from openqueue.errors import FieldError
from openqueue.signature import leaves
from openqueue.signature.leaves import LEAVES, Faults, refuse

_BARE: Final = frozenset({str, int, float, bool, type(None)})
_BARE_OF: Final[dict[type[kinds.Type], type]] = {
    kinds.IntType: int,
    kinds.StrType: str,
    kinds.FloatType: float,
}
_TYPED: Final = (tuple, set, frozenset, Enum, *LEAVES.values())
_KEYS: Final = frozenset(
    {kinds.AnyType, kinds.StrType, kinds.IntType, kinds.FloatType, kinds.EnumType, kinds.LiteralType, *LEAVES}
)


def form(info: Any, value: Any, path: str, faults: Faults) -> Any:
    """Return the JSON form of ``value``, or note its faults."""
    return _FORMS[type(info)](info, value, path, faults)


def objections(info: Any, seen: set[int] | None = None) -> Iterator[str]:
    """Yield why values of this hint cannot travel as JSON."""
    seen = set() if seen is None else seen
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, kinds.CustomType) and info.cls is not object and not is_pydantic(info.cls):
        if FieldError.is_model(info.cls):
            yield f"{info.cls.__name__} is a model: take its primary key, and fetch it in the task"
        else:
            yield f"{info.cls.__name__} has no JSON form: take plain types, a dataclass or a TypedDict"
    elif type(info) not in _FORMS:
        yield f"{type(info).__name__.removesuffix('Type')} has no JSON form here"
    if isinstance(info, kinds.DictType) and type(info.key_type) not in _KEYS:
        yield "the keys of a dict must be of one type that JSON can write as a string"
    for inner in _inner(info):
        yield from objections(inner, seen)


def is_pydantic(kind: Any) -> bool:
    """Tell whether this is a pydantic model, without importing pydantic."""
    return isinstance(kind, type) and hasattr(kind, "model_validate_json") and hasattr(kind, "model_dump")


def read_pydantic(kind: Any, value: Any, path: str, faults: Faults) -> Any:
    """Return the model of a JSON value, or note every fault that pydantic finds; values are never quoted."""
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValueError as error:
        details = error.errors() if hasattr(error, "errors") else [{"loc": (), "msg": "is not JSON"}]
    for detail in details:
        where = path
        for step in detail["loc"]:
            where = FieldError.step(where, step)
        faults.append(FieldError(where, str(detail["msg"])))
    return None


def _inner(info: Any) -> list[Any]:
    if isinstance(info, kinds.DictType):
        return [info.key_type, info.value_type]
    if isinstance(info, kinds.TupleType):
        return list(info.item_types)
    if isinstance(info, kinds.UnionType):
        return list(info.types)
    if hasattr(info, "fields"):
        return [field.type for field in info.fields]
    return [info.item_type] if hasattr(info, "item_type") else []


def _anything(info: Any, value: Any, path: str, faults: Faults) -> Any:
    """Without a hint only what JSON brings back as it went may pass."""
    if type(value) in _BARE:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, list):
        return _items(info, value, path, faults)
    if isinstance(value, Mapping):
        return {
            _key(info, key, path, faults): _anything(info, item, FieldError.step(path, key), faults)
            for key, item in value.items()
        }
    if isinstance(value, _TYPED) or dataclasses.is_dataclass(type(value)) or is_pydantic(type(value)):
        kind = type(value).__name__
        faults.append(FieldError(path, f"is a {kind}, and comes back as one only if the parameter is hinted"))
    else:
        faults.append(FieldError.without_json_form(path, value))
    return None


def _items(item_info: Any, values: Any, path: str, faults: Faults) -> list[Any]:
    bare = _BARE_OF.get(type(item_info))
    return [
        item if type(item) is bare else form(item_info, item, f"{path}[{index}]", faults)
        for index, item in enumerate(values)
    ]


def _array(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if isinstance(value, list | tuple):
        return _items(info.item_type, value, path, faults)
    if isinstance(value, set | frozenset) and isinstance(info, kinds.SetType | kinds.FrozenSetType):
        return _items(info.item_type, value, path, faults)
    return refuse(info, value, path, faults)


def _tuple(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if not isinstance(value, list | tuple):
        return refuse(info, value, path, faults)
    if len(value) != len(info.item_types):
        faults.append(FieldError(path, f"must have {len(info.item_types)} items, not {len(value)}"))
        return None
    return [
        form(item_info, item, f"{path}[{index}]", faults)
        for index, (item_info, item) in enumerate(zip(info.item_types, value, strict=True))
    ]


def _named_tuple(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if not isinstance(value, list | tuple):
        return refuse(info, value, path, faults)
    least = sum(field.required for field in info.fields)
    if not least <= len(value) <= len(info.fields):
        faults.append(FieldError(path, f"must have the items {', '.join(f.name for f in info.fields)}"))
        return None
    pairs = zip(info.fields, value, strict=False)
    return [form(field.type, item, FieldError.step(path, field.name), faults) for field, item in pairs]


def _dict(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if not isinstance(value, Mapping):
        return refuse(info, value, path, faults)
    made = {}
    for key, item in value.items():
        name = _key(info.key_type, key, path, faults)
        made[name] = form(info.value_type, item, FieldError.step(path, name), faults)
    return made


def _key(info: Any, key: Any, path: str, faults: Faults) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(info, kinds.AnyType | kinds.StrType):
        faults.append(
            FieldError(path, f"has a key of type {type(key).__name__}, and JSON's keys are strings")
        )
        return ""
    return str(form(info, key, path, faults))


def _object(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if isinstance(value, Mapping):
        return _fields(info, value, path, faults)
    if isinstance(info, kinds.DataclassType) and isinstance(value, info.cls):
        if type(value) is not info.cls:
            kind = type(value).__name__
            faults.append(FieldError(path, f"is a {kind}, and would come back as {info.cls.__name__}"))
        present = [field for field in info.fields if hasattr(value, field.name)]
        return _fields(info, {one.encode_name: getattr(value, one.name) for one in present}, path, faults)
    return refuse(info, value, path, faults)


def _fields(info: Any, value: Mapping[Any, Any], path: str, faults: Faults) -> dict[str, Any]:
    made = {}
    known = {field.encode_name: field for field in info.fields}
    for key, item in value.items():
        where = FieldError.step(path, key)
        if key in known:
            made[key] = form(known[key].type, item, where, faults)
        else:
            faults.append(FieldError(where, f"is not a field of {info.cls.__name__}"))
    for name, field in known.items():
        if field.required and name not in value:
            faults.append(FieldError(FieldError.step(path, name), "is missing"))
    return made


def _struct(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if isinstance(value, info.cls):
        return msgspec.json.decode(msgspec.json.encode(value))
    return _anything(kinds.AnyType(), value, path, faults)


def _custom(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if info.cls is object:
        return _anything(kinds.AnyType(), value, path, faults)
    if isinstance(value, Mapping):
        made = _anything(kinds.AnyType(), value, path, faults)
        read_pydantic(info.cls, made, path, faults)
        return made
    if type(value) is not info.cls:
        return refuse(info, value, path, faults)
    made = value.model_dump(mode="json", by_alias=True, round_trip=True)
    mine: Faults = []
    if read_pydantic(info.cls, made, path, mine) != value:  # a SecretStr is dumped as stars
        faults.append(FieldError(path, f"is a {info.cls.__name__} that its own JSON does not bring back"))
    return made


def _union(info: Any, value: Any, path: str, faults: Faults) -> Any:
    # a float takes an int, so it is asked last: an int comes back as an int where one is allowed
    members = sorted(info.types, key=lambda member: isinstance(member, kinds.FloatType))
    tried: list[Faults] = []
    for member in members:
        mine: Faults = []
        made = form(member, value, path, mine)
        if not mine:
            return made
        tried.append(mine)
    inside = [mine for mine in tried if mine[0].path != path]
    if len(inside) == 1:  # only one member looked like it, and knows better what is wrong
        faults += inside[0]
        return None
    return refuse(info, value, path, faults)


_FORMS: Final[dict[type, Callable[[Any, Any, str, Faults], Any]]] = {
    kinds.AnyType: _anything,
    kinds.NoneType: leaves.none,
    kinds.BoolType: leaves.boolean,
    kinds.IntType: leaves.integer,
    kinds.FloatType: leaves.number,
    kinds.StrType: leaves.text,
    kinds.EnumType: leaves.choice,
    kinds.LiteralType: leaves.choice,
    kinds.ListType: _array,
    kinds.VarTupleType: _array,
    kinds.SetType: _array,
    kinds.FrozenSetType: _array,
    kinds.TupleType: _tuple,
    kinds.NamedTupleType: _named_tuple,
    kinds.DictType: _dict,
    kinds.DataclassType: _object,
    kinds.TypedDictType: _object,
    kinds.StructType: _struct,
    kinds.CustomType: _custom,
    kinds.UnionType: _union,
    **dict.fromkeys(LEAVES, leaves.leaf),
}
