"""A payload that a JSON Schema describes, in the place of a function's signature."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from openqueue.codec.plain import plain
from openqueue.errors import DefinitionInvalid, FieldError, PayloadInvalid, UnsupportedCapability

LONGEST_REASON: Final = 200
MOST_FAULTS: Final = 20
ANYTHING: Final[Mapping[str, Any]] = {"type": "object"}
LOCAL: Final = "#"
"""What a reference begins with: a schema that fetches others would have the server send requests."""


class SchemaPayload:
    """What `Signature` is to a function: checks a payload at the trigger, and again when it runs."""

    context = None
    takes_context = False
    schema = None

    def __init__(self, schema: Mapping[str, Any], *, secret: tuple[str, ...] = ()) -> None:
        self.described = dict(schema)
        self.secret = secret
        properties = self.described.get("properties")
        self.parameters: dict[str, Any] = dict(properties) if isinstance(properties, Mapping) else {}
        closed = self.described.get("additionalProperties") is False
        self.rest = None if closed else "additionalProperties"
        self.required = list(self.described.get("required", ()))

    @cached_property
    def validator(self) -> Any:
        return _library().Draft202012Validator(self.described)

    def check(self) -> None:
        """Refuse what is no schema of an object, or refers to others.

        Raises:
            DefinitionInvalid: it names the place in the schema.
        """
        if self.described.get("type") != "object":
            raise DefinitionInvalid([("schema.type", "must be 'object': a payload holds arguments by name")])
        faults = [FieldError(path, reason) for path, reason in _references(self.described, "schema")]
        if faults:
            raise DefinitionInvalid(faults)
        library = _library()
        try:
            library.Draft202012Validator.check_schema(self.described)
        except library.SchemaError as error:
            raise DefinitionInvalid([(_path("schema", error.absolute_path), _short(error.message))]) from None

    def dump(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload in JSON's own types, or raise PayloadInvalid with all that is wrong with it."""
        if args:
            raise PayloadInvalid([("arguments", "are given by name: a JSON Schema knows no places")])
        return self.load(plain(dict(kwargs), what="payload"))

    def load(self, payload: Any) -> dict[str, Any]:
        """Return a payload that fits, or raise PayloadInvalid."""
        faults: dict[FieldError, None] = {}
        for error in self.validator.iter_errors(payload):
            path = _path("", error.absolute_path)
            if error.validator == "required":
                missing = [name for name in error.validator_value if name not in error.instance]
                faults |= dict.fromkeys(
                    FieldError(FieldError.step(path, name), "is missing") for name in missing
                )
            else:
                hidden = path.split(".")[0].split("[")[0] in self.secret
                reason = "does not fit" if hidden else self.reason(error, payload)
                faults[FieldError(path or "payload", reason)] = None
            if len(faults) >= MOST_FAULTS:
                break
        if faults:
            raise PayloadInvalid(faults)
        return payload  # type: ignore[no-any-return]  # an object, says the schema

    def reason(self, error: Any, payload: Any) -> str:
        """Say what is wrong; a message about the whole object may show a secret field in it."""
        if self.secret and error.instance is payload and error.validator != "additionalProperties":
            return f"does not keep {error.validator}"
        return _short(error.message)

    def json_schema(self) -> dict[str, Any]:
        """Return it as it was given."""
        return self.described


def _library() -> Any:
    try:
        return importlib.import_module("jsonschema")
    except ImportError:
        raise UnsupportedCapability(
            "This task is described by a JSON Schema. Install OpenQueue with its `api` extra wherever it is triggered."
        ) from None


def _references(value: Any, path: str) -> list[tuple[str, str]]:
    """Find the references that lead out of the schema."""
    found = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            here = FieldError.step(path, key)
            if key in {"$ref", "$dynamicRef"} and not (isinstance(item, str) and item.startswith(LOCAL)):
                found.append((here, "must point into this schema, as in '#/$defs/item'"))
            elif key == "$id":
                found.append((here, "is not taken: references point into this schema"))
            found += _references(item, here)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            found += _references(item, FieldError.step(path, place))
    return found


def _path(path: str, steps: Any) -> str:
    for step in steps:
        path = FieldError.step(path, step)
    return path


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "..."
