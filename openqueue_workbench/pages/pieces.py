"""A long table in pieces: what takes long is not to read all of it, but to show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

T = TypeVar("T")
SIZE: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece(Generic[T]):
    """Some of the rows, and the ways back and on."""

    rows: Sequence[T]
    first: str
    """Where the first ones are; empty: here."""
    more: str
    """Where the next ones are; empty: these are the last."""

    def context(self) -> dict[str, Any]:
        """Return what ``pages.html`` shows."""
        return {
            "newest": self.first, "newest_name": _("First"), "older": self.more, "older_name": _("More"),
        }  # fmt: skip


def cut(page: Page, rows: Sequence[T], *, name: Callable[[T], str]) -> Piece[T]:
    """Return the rows behind the one that the address names, so that none is left out when others come and go."""
    at = page.request.GET.get("at", "")
    begin = next((number + 1 for number, row in enumerate(rows) if name(row) == at), 0) if at else 0
    shown = rows[begin : begin + SIZE]
    is_end = begin + SIZE >= len(rows)
    return Piece(
        rows=shown,
        first=page.address_with(at=None) if begin else "",
        more="" if is_end else page.address_with(at=name(shown[-1])),
    )
