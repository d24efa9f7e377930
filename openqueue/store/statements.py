"""SQL files, each opened by a table of its parameters."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(dialect: str, name: str) -> str:
    """Return the text of ``sql/<dialect>/<name>.sql`` without its comment lines."""
    text = files("openqueue.store").joinpath("sql", dialect, f"{name}.sql").read_text("utf-8")
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
