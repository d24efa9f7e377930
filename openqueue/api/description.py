"""How the schema is made of the table of operations: the types that views read and answer are the types it shows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from openqueue.api.operations import Operation
from openqueue.api.problems import MEDIA_TYPE, Problem

JSON: Final = "application/json"
REF: Final = "#/components/schemas/{name}"
SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of `openqueue_tokens create`."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "A member of the staff who is logged in; anything but a GET needs the CSRF token too.",
    },
}
PATH_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "run_id": {"type": "string", "format": "uuid"},
    "operation": {"type": "string", "format": "uuid"},
    "flow_id": {"type": "string", "format": "uuid"},
    "worker_id": {"type": "string", "format": "uuid"},
    "schedule": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "group": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "alert": {"type": "string", "format": "uuid"},
    "rule": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "channel": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "letter": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "queue": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"},
    "task_id": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^/]+$"},
}
MEANINGS: Final = {
    400: "The request has faults: `errors` names each field.",
    401: "No token, or not a valid one.",
    403: "The caller has no right to this.",
    404: "It is not there, or not for this caller.",
    406: "The caller does not accept JSON.",
    409: "The state stands in the way: `run` shows it, where there is one.",
    413: "The body or a payload is too large.",
    415: "The body is not JSON.",
    429: "Too many requests: `Retry-After` says when to go on.",
    501: "The runtime or this installation cannot do that.",
}
MOMENT: Final = re.compile(r"(_at|^at|^scheduled_for)$")


class Description(AutoSchema):
    """One operation of the document."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any]:
        """Return it, and register the types that it names."""
        self.method, self.registry = method.upper(), registry
        view: Any = self.view
        operation: Operation = view.operations[method.lower()]
        said = inspect.getdoc(getattr(view, method.lower())) or ""
        summary, _, rest = said.partition("\n\n")
        statuses = [401, 403, 406, 429, *operation.problems]
        statuses = [] if operation.is_open else sorted({400, *statuses})
        made: dict[str, Any] = {
            "operationId": operation.id,
            "summary": " ".join(summary.split()),
            "description": " ".join(rest.split()),
            "tags": [view.section],
            "parameters": [*self.in_path(path), *self.in_query(operation), *in_headers(operation)],
            "security": [] if operation.is_open else [{name: []} for name in SCHEMES],
            "responses": {str(status): self.answer(kind) for status, kind in operation.answers.items()}
            | {str(status): self.problem(MEANINGS[status]) for status in statuses}
            | {"default": self.problem("Anything else that is refused.")},
        }
        if operation.tagged:
            made["responses"]["304"] = {"description": "The caller has this answer: If-None-Match names it."}
        if operation.body is not None:
            made["requestBody"] = {
                "required": operation.body_required,
                "content": {JSON: {"schema": self.named(operation.body)}},
            }
        return {key: value for key, value in made.items() if value or key == "security"}

    def in_path(self, path: str) -> Iterator[dict[str, Any]]:
        for name in re.findall(r"{(\w+)}", path):
            yield {"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name]}

    def in_query(self, operation: Operation) -> Iterator[dict[str, Any]]:
        (_,), components = msgspec.json.schema_components([operation.query], ref_template=REF)
        for name, schema in components[operation.query.__name__].get("properties", {}).items():
            described = {"description": schema.pop("description")} if "description" in schema else {}
            if MOMENT.search(name) or name == "since":
                schema["format"] = "date-time"
            yield {"name": name, "in": "query", "schema": schema, **described}

    def answer(self, kind: Any) -> dict[str, Any]:
        if kind is None:
            return {"description": "Done; there is no body."}
        return {"description": "Done.", "content": {JSON: {"schema": self.named(kind)}}}

    def problem(self, meaning: str) -> dict[str, Any]:
        return {"description": meaning, "content": {MEDIA_TYPE: {"schema": self.named(Problem)}}}

    def named(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type by its name, and register those that it is made of."""
        (schema,), components = msgspec.json.schema_components([kind], ref_template=REF)
        for name, component in components.items():
            if "description" in component:
                # Before Python 3.13 a docstring keeps the indentation of its class.
                component["description"] = inspect.cleandoc(component["description"])
            for field, facts in component.get("properties", {}).items():
                if MOMENT.search(field):
                    for option in [facts, *facts.get("anyOf", [])]:
                        if option.get("type") == "string":
                            option["format"] = "date-time"
            made: Any = ResolvedComponent  # which says no types
            self.registry.register_on_missing(made(name, made.SCHEMA, component, name))
        return schema


def in_headers(operation: Operation) -> Iterator[dict[str, Any]]:
    for name, meaning in operation.headers.items():
        yield {
            "name": name,
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            "description": meaning,
        }
