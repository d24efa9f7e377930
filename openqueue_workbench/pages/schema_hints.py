"""A task's JSON Schema as hints for people: what to write, of which type, and something to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

WORDS: Final[Mapping[str, str | Promise]] = {
    "string": gettext_lazy("text"),
    "integer": gettext_lazy("whole number"),
    "number": gettext_lazy("number"),
    "boolean": gettext_lazy("true or false"),
    "null": gettext_lazy("null"),
    "array": gettext_lazy("list"),
    "object": gettext_lazy("object"),
}
BLANKS: Final[Mapping[str, Any]] = {
    "string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}, "null": None
}  # fmt: skip
DEEPEST: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """One argument."""

    name: str
    type: str
    required: bool
    is_secret: bool
    about: str


def hints(schema: Mapping[str, Any], *, secret: Sequence[str]) -> list[Hint]:
    """Return what is known of each argument."""
    required = schema.get("required") or ()
    return [
        Hint(
            name=name,
            type=_type(one, schema),
            required=name in required,
            is_secret=name in secret,
            about=str(one.get("description") or "") if isinstance(one, Mapping) else "",
        )
        for name, one in (schema.get("properties") or {}).items()
    ]


def skeleton(schema: Mapping[str, Any]) -> str:
    """Return arguments to begin with: the required ones, each empty or as its default says."""
    properties = schema.get("properties") or {}
    payload = {name: _blank(properties.get(name) or {}, schema, 0) for name in schema.get("required") or ()}
    return json.dumps(payload, ensure_ascii=False, indent=2)


def _resolved(one: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    for _step in range(DEEPEST):
        if not isinstance(one, Mapping):
            return {}
        name = str(one.get("$ref") or "").rpartition("/")[2]
        if not name:
            return one
        one = (root.get("$defs") or root.get("definitions") or {}).get(name)
    return {}


def _type(one: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    found = _resolved(one, root)
    if "enum" in found or "const" in found:
        values = found.get("enum", [found.get("const")])
        return _("one of %(values)s") % {
            "values": ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
        }
    for word in ("anyOf", "oneOf"):
        if word in found and depth < DEEPEST:
            parts = dict.fromkeys(_type(part, root, depth + 1) for part in found[word])
            return _(" or ").join(parts)
    kinds = found.get("type")
    names = kinds if isinstance(kinds, list) else [kinds] if kinds else []
    if names == ["array"] and found.get("items") and depth < DEEPEST:
        return _("list of %(items)s") % {"items": _type(found["items"], root, depth + 1)}
    said = _(" or ").join(str(WORDS.get(name, name)) for name in names) or _("anything")
    return f"{said} ({found['format']})" if isinstance(found.get("format"), str) else said


def _blank(one: Any, root: Mapping[str, Any], depth: int) -> Any:
    found = _resolved(one, root)
    if "default" in found:
        return found["default"]
    for word, value in (("enum", None), ("anyOf", None), ("oneOf", None)):
        if found.get(word):
            value = found[word][0]
            return value if word == "enum" else _blank(value, root, depth + 1) if depth < DEEPEST else None
    kinds = found.get("type")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object" and depth < DEEPEST:
        properties = found.get("properties") or {}
        return {name: _blank(properties.get(name), root, depth + 1) for name in found.get("required") or ()}
    return BLANKS.get(str(kind))
