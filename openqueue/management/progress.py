"""How far long work has come: one line that a terminal writes over, and nothing where no one looks."""

from __future__ import annotations

from typing import Any, Final

WIDTH: Final = 30


def show(stream: Any, what: str, share: float) -> None:
    """Draw a bar behind ``what``, with a share from 0 to 1; an empty ``what`` wipes the line."""
    if stream.isatty():
        bar = "█" * int(share * WIDTH)
        stream.write(f"\r\033[K{what and f'{what:14}{bar:{WIDTH}} {share:4.0%}'}", ending="")
        stream.flush()
