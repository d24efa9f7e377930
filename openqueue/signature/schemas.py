"""`schema=`: a pydantic model, or a serializer of REST framework, that judges a payload instead of hints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec.inspect as kinds

from openqueue.errors import FieldError, TaskDeclarationError
from openqueue.signature.forms import form, is_pydantic, read_pydantic
from openqueue.signature.leaves import LEAVES, Faults, written

_FORMATS: Final = {
    "DateTimeField": "date-time",
    "DateField": "date",
    "TimeField": "time",
    "DurationField": "duration",
    "DecimalField": "decimal",
    "UUIDField": "uuid",
    "EmailField": "email",
    "URLField": "uri",
}
_TYPES: Final = {
    "BooleanField": "boolean",
    "IntegerField": "integer",
    "FloatField": "number",
}
_BOUNDS: Final = {
    "max_length": "maxLength",
    "min_length": "minLength",
    "max_value": "maximum",
    "min_value": "minimum",
}


def schema_for(judge: Any) -> Schema:
    """Return the schema behind `schema=`, or raise TaskDeclarationError."""
    if is_pydantic(judge):
        return PydanticSchema(judge)
    if isinstance(judge, type) and hasattr(judge, "to_internal_value") and hasattr(judge, "is_valid"):
        return SerializerSchema(judge)
    raise TaskDeclarationError(
        f"schema= must be a pydantic model, or a serializer class of REST framework, not {judge!r}"
    )


class Schema(ABC):
    """What judges a payload as a whole. The payload is stored as it was given, in JSON."""

    @abstractmethod
    def fields(self) -> Iterable[str]:
        """Return the names that a payload may hold."""

    @abstractmethod
    def load(self, payload: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
        """Return the validated values by name, or note every fault."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """Return JSON Schema of the payload."""

    def dump(self, given: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
        """Return what was given as JSON once it has been found valid."""
        mine: Faults = []
        payload: dict[str, Any] = {name: _as_json(value, name, mine) for name, value in given.items()}
        if not mine:
            self.load(payload, mine)
        faults += mine
        return payload


class PydanticSchema(Schema):
    """A pydantic model: its fields are the arguments."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fields(self) -> Iterable[str]:
        """Return the names, or aliases, of the model's fields."""
        return [field.alias or name for name, field in self.model.model_fields.items()]

    def load(self, payload: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
        """Return every field of the model, its defaults included."""
        read = read_pydantic(self.model, payload, "", faults)
        return {} if read is None else {name: getattr(read, name) for name in self.model.model_fields}

    def json_schema(self) -> dict[str, Any]:
        """Return what pydantic makes of the model."""
        schema: dict[str, Any] = self.model.model_json_schema()
        return schema


class SerializerSchema(Schema):
    """A serializer: its validated data are the arguments."""

    def __init__(self, serializer: Any) -> None:
        self.serializer = serializer

    def fields(self) -> Iterable[str]:
        """Return the names of the fields that may be written."""
        return [name for name, field in self.serializer().fields.items() if not field.read_only]

    def load(self, payload: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
        """Return the validated data."""
        serializer = self.serializer(data=dict(payload))
        if serializer.is_valid():
            return dict(serializer.validated_data)
        faults += _flattened(serializer.errors, "")
        return {}

    def json_schema(self) -> dict[str, Any]:
        """Return JSON Schema of the fields that may be written."""
        return _object_schema(self.serializer())


def _as_json(value: Any, path: str, faults: Faults) -> Any:
    """Return the JSON of whatever type says it plainly: the schema tells what it becomes again."""
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item, f"{path}[{index}]", faults) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {key: _as_json(item, FieldError.step(path, key), faults) for key, item in value.items()}
    if isinstance(value, Enum):
        return _as_json(value.value, path, faults)
    if isinstance(value, tuple(LEAVES.values())):
        return written(value, path, faults)
    if is_pydantic(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    return form(kinds.AnyType(), value, path, faults)


def _flattened(errors: Any, path: str) -> Iterator[FieldError]:
    """Yield a serializer's nested errors one by one."""
    if isinstance(errors, Mapping):
        for key, inner in errors.items():
            yield from _flattened(inner, path if key == "non_field_errors" else FieldError.step(path, key))
    elif isinstance(errors, list):
        for index, inner in enumerate(errors):
            yield from _flattened(inner, path if isinstance(inner, str) else FieldError.step(path, index))
    else:
        yield FieldError(path or "payload", str(errors))


def _object_schema(serializer: Any) -> dict[str, Any]:
    fields = {name: field for name, field in serializer.fields.items() if not field.read_only}
    return {
        "type": "object",
        "properties": {name: _field_schema(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }


def _field_schema(field: Any) -> dict[str, Any]:
    ancestors = [kind.__name__ for kind in type(field).__mro__]
    schema: dict[str, Any] = {}
    if hasattr(field, "fields"):
        schema = _object_schema(field)
    elif "DictField" in ancestors:
        schema = {"type": "object"}
    elif hasattr(field, "child"):
        schema = {"type": "array", "items": _field_schema(field.child)}
    elif hasattr(field, "choices"):
        schema = {"enum": list(field.choices)}
    elif kind := next((_TYPES[name] for name in ancestors if name in _TYPES), None):
        schema = {"type": kind}
    elif layout := next((_FORMATS[name] for name in ancestors if name in _FORMATS), None):
        schema = {"type": "string", "format": layout}
    elif "CharField" in ancestors:
        schema = {"type": "string"}
    for bound, name in _BOUNDS.items():
        if isinstance(limit := getattr(field, bound, None), int | float):
            schema[name] = limit
    if field.help_text:
        schema["description"] = str(field.help_text)
    return {"anyOf": [schema, {"type": "null"}]} if field.allow_null else schema
