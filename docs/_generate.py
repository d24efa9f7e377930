"""Write the parts of these pages that the code knows better: `python docs/_generate.py`.

A part stands between `<!-- generated: name -->` and `<!-- end -->`. tests/docs compares every part with the code.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

PART = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHORT = {
    "AutoField": "number",
    "BigAutoField": "number",
    "BigIntegerField": "number",
    "BooleanField": "yes or no",
    "CharField": "text",
    "DurationField": "duration",
    "FloatField": "number",
    "InstantField": "moment",
    "IntegerField": "number",
    "JSONTextField": "JSON",
    "SmallIntegerField": "number",
    "TextField": "text",
    "UUIDField": "UUID",
}


def states() -> Iterator[str]:
    """Draw the state machine, and say it again as a table."""
    from openqueue.states import ARROWS, FINAL, Status, mermaid  # noqa: PLC0415  (after the path is set)

    yield f"```mermaid\n{mermaid()}```\n"
    yield "| from | to |"
    yield "|---|---|"
    for before in Status:
        after = [f"`{to}`" for to in Status if to in ARROWS[before]]
        operator = " (only by an operator's retry)" if before in FINAL else ""
        yield f"| `{before}` | {' '.join(after)}{operator} |"


def errors() -> Iterator[str]:
    """Draw the tree of errors, then give each a heading to link to."""
    from openqueue import errors as room  # noqa: PLC0415

    tree = (inspect.getdoc(room) or "").partition("\n\n")[2]
    yield f"```text\n{tree}\n```"
    for name, kind in inspect.getmembers(room, inspect.isclass):
        if (
            issubclass(kind, room.OpenQueueError)
            and not name.startswith("_")
            and kind is not room.OpenQueueError
        ):
            yield f"\n## {name}\n\n{kind.default_message()}"


def models() -> Iterator[str]:
    """List the columns of every model."""
    from openqueue import models as room  # noqa: PLC0415

    for name in room.__all__:
        model = getattr(room, name)
        yield f"\n## {name}\n\n{inspect.getdoc(model)}\n\n`{model._meta.db_table}`\n"
        yield "| column | holds | |\n|---|---|---|"
        for field in model._meta.concrete_fields:
            to = field.related_model and field.related_model.__name__
            kind = f"[{to}](#{to.lower()})" if to else SHORT[type(field).__name__]
            facts = [fact for fact in ("key" * field.primary_key, "may be null" * field.null) if fact]
            yield f"| `{field.attname}` | {kind} | {', '.join(facts)} |"


def routes() -> Iterator[str]:
    """List the routes of the API with what each needs."""
    from openqueue.api import document  # noqa: PLC0415
    from openqueue.api.routes import routes as table  # noqa: PLC0415

    rights = {
        operation.id: "open" if operation.is_open else operation.right or "known"
        for route in table
        for operation in route.callback.cls.operations.values()  # type: ignore[union-attr]  # all are views
    }
    yield "| | right | does |\n|---|---|---|"
    for path, operations in document.made()["paths"].items():
        for method, operation in operations.items():
            right = rights[operation["operationId"]]
            yield f"| `{method.upper()} {path}` | {right} | {operation['summary']} |"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "states": states,
    "errors": errors,
    "models": models,
    "routes": routes,
}


def openapi() -> str:
    """Return the API's document as YAML."""
    from drf_spectacular.renderers import OpenApiYamlRenderer  # noqa: PLC0415

    from openqueue.api import document  # noqa: PLC0415

    text: str = OpenApiYamlRenderer().render(document.made(), renderer_context={}).decode()
    return text


def written(found: re.Match[str]) -> str:
    """Return one part with its two marks."""
    lines = "\n".join(PARTS[found["name"]]()).strip()
    return f"{found[1]}\n{lines}\n\n{found[3]}"


def fresh(text: str) -> str:
    """Return a page with its generated parts as they should be."""
    return PART.sub(written, text)


def pages() -> list[Path]:
    """Return the pages that have generated parts."""
    return [page for page in sorted(DOCS.rglob("*.md")) if PART.search(page.read_text("utf-8"))]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    for path in pages():
        path.write_text(fresh(path.read_text("utf-8")), "utf-8")
        sys.stdout.write(f"{path.relative_to(DOCS)}\n")
    (DOCS / "reference" / "openapi.yaml").write_text(openapi(), "utf-8")
