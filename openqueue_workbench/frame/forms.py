"""Forms that are a page of their own: what is typed stays, and what is wrong stands beside its field."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from openqueue_workbench.frame.acts import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One field of a form, as its template (parts/input.html) shows it."""

    name: str
    label: Text
    kind: Literal["text", "textarea", "number", "url", "select", "checks", "tick"] = "text"
    value: str = ""
    chosen: Collection[str] = ()
    """Of choices that are boxes to tick; a lone box is ticked if there is any."""
    choices: Sequence[tuple[str, Text]] = ()
    unit: Text = ""
    help: Text = ""
    error: str = ""
    required: bool = False
    first: bool = False
    """The focus begins here."""

    @property
    def described_by(self) -> str:
        """Return the ids of what says more about it."""
        told = [f"oq-{kind}-{self.name}" for kind in ("error", "help") if getattr(self, kind)]
        return " ".join(told)
