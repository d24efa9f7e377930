"""What a task's function takes: checked when triggered, JSON while it waits, typed again when it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from openqueue.errors import FieldError, PayloadInvalid, TaskDeclarationError
from openqueue.signature.hints import UNTYPED, Hint, resolve
from openqueue.signature.schemas import Schema, schema_for

CONTEXT_NAME: Final = "ctx"
CONTEXT_TYPE: Final = "TaskContext"


class Signature:
    """The arguments of one function, without its context; hints are looked at when first needed."""

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: Iterable[inspect.Parameter],
        *,
        context: str | None,
        schema: Any = None,
    ) -> None:
        self.function = function
        self.context = context
        self.schema: Schema | None = None if schema is None else schema_for(schema)
        named = [one for one in parameters if one.kind is not one.VAR_KEYWORD]
        self.parameters: dict[str, inspect.Parameter] = {one.name: one for one in named}
        self.rest = next((one for one in parameters if one.kind is one.VAR_KEYWORD), None)
        self.by_place = [one.name for one in named if one.kind is not one.KEYWORD_ONLY]
        self.required = [one.name for one in named if one.default is one.empty]

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, takes_context: bool | None = None, schema: Any = None
    ) -> Signature:
        """Read a function's signature; raise TaskDeclarationError for one that no payload can fill."""
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError) as error:
            raise TaskDeclarationError(f"{function!r} has no signature that Python can read") from error
        context = None
        if takes_context or (takes_context is None and parameters and _is_context(parameters[0])):
            context = _take_context(parameters, function)
        for parameter in parameters:
            if problem := _problem(parameter):
                raise TaskDeclarationError(f"{_name(function)}: {problem}")
        return cls(function, parameters, context=context, schema=schema)

    @property
    def takes_context(self) -> bool:
        """Whether the function wants the context, by place, before everything else."""
        return self.context is not None

    def check(self) -> None:
        """Look at every hint now; raise TaskDeclarationError for one that cannot be resolved or travel."""
        if self.schema is None:
            _ = self._hints
        else:
            self.schema.fields()

    def dump(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given arguments as JSON values; raise PayloadInvalid with all that is wrong with them.

        A value may come as its Python type or as the JSON that stands for it, as callers by id send it.
        """
        faults: list[FieldError] = []
        given = self._named(args, kwargs, faults) if args else kwargs
        return self._convert(given, faults, dump=True)

    def load(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return a payload as keyword arguments of the hinted types, or raise PayloadInvalid."""
        if not isinstance(payload, dict):
            raise PayloadInvalid([("payload", f"must be an object, not {type(payload).__name__}")])
        return self._convert(payload, [], dump=False)

    def json_schema(self) -> dict[str, Any]:
        """Return JSON Schema of the payload, for forms and APIs."""
        if self.schema is not None:
            return self.schema.json_schema()
        hints = self._hints
        properties, definitions = Hint.json_schemas(hints)
        for name, parameter in self.parameters.items():
            if parameter.default is not parameter.empty:
                faults: list[FieldError] = []
                default = hints[name].dump(parameter.default, name, faults)
                if not faults:
                    properties[name]["default"] = default
        schema = {
            "type": "object",
            "properties": properties,
            "required": self.required,
            "additionalProperties": properties.pop(self.rest.name) if self.rest else False,
        }
        return schema | ({"$defs": definitions} if definitions else {})

    @cached_property
    def _hints(self) -> dict[str, Hint]:
        """The hint of every parameter, `**` included, by name."""
        every = [*self.parameters.values(), *([self.rest] if self.rest else [])]
        return resolve(self.function, every, task=_name(self.function))

    @cached_property
    def _rest_hint(self) -> Hint | None:
        return self._hints[self.rest.name] if self.rest else None

    @cached_property
    def _named_hints(self) -> dict[str, Hint]:
        return {name: self._hints[name] for name in self.parameters}

    def _named(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], faults: list[FieldError]
    ) -> Mapping[str, Any]:
        """Give the positional arguments their names."""
        if len(args) > len(self.by_place):
            taken = f"takes {len(self.by_place)} arguments by place, and {len(args)} were given"
            faults.append(FieldError("arguments", taken))
        given = dict(zip(self.by_place, args, strict=False))
        faults += [FieldError(name, "is given by place and by name") for name in given.keys() & kwargs.keys()]
        return given | dict(kwargs)

    def _convert(self, given: Mapping[str, Any], faults: list[FieldError], *, dump: bool) -> dict[str, Any]:
        if self.schema is not None:
            return self._through_schema(self.schema, given, faults, dump=dump)
        converted: dict[str, Any] = {}
        hints = self._named_hints
        for name, value in given.items():
            hint = hints.get(name) or self._hint_of_other(name, faults)
            if type(value) in hint.atoms:
                converted[name] = value
            elif dump:
                converted[name] = hint.dump(value, name, faults)
            else:
                converted[name] = hint.load(value, name, faults)
        faults += [FieldError(name, "is missing") for name in self.required if name not in given]
        if faults:
            raise PayloadInvalid(faults)
        return converted

    def _hint_of_other(self, name: Any, faults: list[FieldError]) -> Hint:
        if not isinstance(name, str):
            faults.append(
                FieldError(FieldError.step("", name), "is no name, and arguments are named by strings")
            )
        elif name == self.context:
            faults.append(FieldError(name, "is the context, which the worker gives"))
        elif self._rest_hint is not None:
            return self._rest_hint
        else:
            faults.append(FieldError(FieldError.step("", name), self._unknown(self.parameters)))
        return UNTYPED

    def _through_schema(
        self, schema: Schema, given: Mapping[str, Any], faults: list[FieldError], *, dump: bool
    ) -> dict[str, Any]:
        fields = schema.fields()
        faults += [FieldError(name, self._unknown(fields)) for name in given if name not in fields]
        known = {name: value for name, value in given.items() if name in fields}
        converted = schema.dump(known, faults) if dump else schema.load(known, faults)
        if faults:
            raise PayloadInvalid(faults)
        return converted

    def _unknown(self, names: Iterable[str]) -> str:
        return f"is not an argument of {_name(self.function)}, which takes: {', '.join(names) or 'nothing'}"


def _is_context(parameter: inspect.Parameter) -> bool:
    return parameter.name == CONTEXT_NAME or _is_context_hint(parameter.annotation)


def _is_context_hint(annotation: Any) -> bool:
    """Tell by the name alone: the hint may be a string, and its import for type checkers only."""
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].strip("\"'") == CONTEXT_TYPE
    return isinstance(annotation, type) and annotation.__name__ == CONTEXT_TYPE


def _take_context(parameters: list[inspect.Parameter], function: Callable[..., Any]) -> str:
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise TaskDeclarationError(
            f"{_name(function)}: the context is given by place: make it the first parameter, before any `*`"
        )
    return parameters.pop(0).name


def _problem(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"a payload holds arguments by name: replace *{parameter.name} by a list parameter"
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return f"a payload holds arguments by name: remove the `/` behind {parameter.name}"
    if _is_context_hint(parameter.annotation):
        return f"the context comes first: make {parameter.name} the first parameter"
    return ""


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
