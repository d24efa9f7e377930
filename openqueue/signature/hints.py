"""One type hint at work: Python value to JSON and back."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, time
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Final

import msgspec
import msgspec.inspect as kinds

from openqueue.errors import FieldError, TaskDeclarationError
from openqueue.signature.forms import form, is_pydantic, objections, read_pydantic

_WHERE: Final = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`$")
_PLAIN: Final[dict[type, type]] = {
    kinds.NoneType: type(None),
    kinds.BoolType: bool,
    kinds.IntType: int,
    kinds.FloatType: float,
    kinds.StrType: str,
}
_MOMENTS: Final = ((datetime, "date-time"), (time, "time"))
REFERENCE: Final = "#/$defs/{name}"


class Hint:
    """A resolved type hint. Values whose type is in `atoms` are their own JSON and need no further look."""

    __slots__ = ("atoms", "info", "type")

    def __init__(self, hint: Any) -> None:
        self.type = Any if hint is object else hint
        self.info = kinds.type_info(self.type)
        self.atoms = frozenset(_atoms(self.info))

    def dump(self, value: Any, path: str, faults: list[FieldError]) -> Any:
        """Return the value's JSON form, or note what is wrong with it."""
        mine: list[FieldError] = []
        try:
            made = form(self.info, value, path, mine)
            if not mine and self.type is not Any:
                self.load(made, path, mine)  # what is written can be read: constraints, __post_init__
        except RecursionError:
            mine.append(FieldError(path, "is nested too deeply, or contains itself"))
        if mine:
            faults += mine
            return None
        return made

    def load(self, value: Any, path: str, faults: list[FieldError]) -> Any:
        """Return the typed value of a JSON form, or note what is wrong with it."""
        if self.type is Any:
            return value
        try:
            return msgspec.convert(value, self.type, str_keys=True, dec_hook=_read_custom)
        except msgspec.ValidationError as error:
            text = str(error)
            where = _WHERE.search(text)
            reason = text[: where.start()] if where else text
            faults.append(FieldError(path + (where["path"] if where else ""), reason.replace("`", "")))
        return None

    @staticmethod
    def json_schemas(hints: Mapping[str, Hint]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Return JSON Schema for each hint, and the definitions that they share."""
        definitions: dict[str, Any] = {}

        def custom(kind: Any) -> dict[str, Any]:
            if not is_pydantic(kind):  # `object`; msgspec takes an empty schema for none
                return {"description": "any JSON"}
            schema: dict[str, Any] = kind.model_json_schema(ref_template=REFERENCE.replace("name", "model"))
            definitions.update(schema.pop("$defs", {}))
            return schema

        types = [_for_forms(hint.type) for hint in hints.values()]
        schemas, shared = msgspec.json.schema_components(types, schema_hook=custom, ref_template=REFERENCE)
        return dict(zip(hints, schemas, strict=True)), definitions | shared


def resolve(
    function: Callable[..., Any], parameters: Iterable[inspect.Parameter], *, task: str
) -> dict[str, Hint]:
    """Return the hints of these parameters, or raise TaskDeclarationError for what no payload could carry."""
    hints = {}
    for parameter in parameters:
        if parameter.annotation is parameter.empty:
            hints[parameter.name] = UNTYPED
            continue
        try:
            hints[parameter.name] = hint = Hint(_evaluate(function, parameter))
            problems = list(objections(hint.info))
        except NameError as error:
            problems = [f"{error}: import it at run time too, not only for type checkers"]
        except Exception as error:  # a hint is any expression, and msgspec refuses in several ways
            problems = [f"{error}"]
        if problems:
            raise TaskDeclarationError(f"{task}: the hint of `{parameter.name}`: {'; '.join(problems)}")
    return hints


def _evaluate(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Resolve one hint by itself: another one, or the return type, may not be resolvable and need not be."""
    owner = inspect.unwrap(function)
    holder = SimpleNamespace(
        __annotations__={parameter.name: parameter.annotation},
        __type_params__=getattr(owner, "__type_params__", ()),
    )
    names = getattr(owner, "__globals__", {})
    hint = typing.get_type_hints(holder, globalns=names, include_extras=True)[parameter.name]
    return typing.Optional[hint] if parameter.default is None else hint  # noqa: UP045 - hint is a value


def _for_forms(hint: Any) -> Any:
    """Let a form know a moment when it sees one: msgspec gives only aware ones a format, and we take both."""
    for moment, layout in _MOMENTS:
        if hint is moment:
            return Annotated[hint, msgspec.Meta(extra_json_schema={"format": layout})]
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return typing.Union[tuple(map(_for_forms, typing.get_args(hint)))]  # noqa: UP007 - made of values
    return hint


def _atoms(info: kinds.Type) -> Iterable[type]:
    if isinstance(info, kinds.AnyType):
        return _PLAIN.values()
    if isinstance(info, kinds.UnionType):
        return [kind for member in info.types for kind in _atoms(member)]
    kind = _PLAIN.get(type(info))
    return [kind] if kind is not None and info == type(info)() else []  # without constraints


def _read_custom(kind: type, value: Any) -> Any:
    """Read what msgspec does not know: a pydantic model, or `object`, which is anything."""
    if not is_pydantic(kind):
        return value
    faults: list[FieldError] = []
    read = read_pydantic(kind, value, "", faults)
    if faults:
        raise ValueError("; ".join(f"{path} {reason}" for path, reason in faults))
    return read


UNTYPED: Final = Hint(Any)
"""The hint of a parameter that has none."""
