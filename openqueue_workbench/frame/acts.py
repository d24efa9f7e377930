"""What a reader can do on a page, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from django.utils.functional import Promise

from openqueue.control.callers import Right

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

Level = Literal["success", "warning", "error"]
Text = str | Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a reader is told of an act."""

    text: Text
    level: Level = "success"
    go_to: str = ""
    """The page to go on with; empty: the same, as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked before an act: exactly what will happen, and what stays as it is."""

    title: Text
    text: Text
    facts: Sequence[tuple[Text, Text]] = ()
    """Names and values that say what it is about."""
    fields: Sequence[Field] = ()
    button: Text = ""
    """What the button says; empty: the act's label."""
    typed: str = ""
    """What must be typed to go on, for what cannot be undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Something to fill in with a question."""

    name: str
    label: Text
    kind: Literal["text", "textarea", "select", "number", "datetime-local"] = "text"
    value: str = ""
    choices: Sequence[tuple[str, Text]] = ()
    """Of a select all that there are; of a text what is proposed."""
    help: Text = ""
    required: bool = False


Does = Callable[[Any, str, Mapping[str, str]], Told]
Asks = Callable[[Any, str, Mapping[str, str]], Question]
MARK: Final = "_openqueue_act"


@dataclass(slots=True, kw_only=True)
class Act:
    """One thing that can be done: who may, what it is called, and what is asked before."""

    name: str
    label: Promise
    right: Right
    does: Does
    is_grave: bool = False
    """Something is lost by it; shown in red, and always behind a question."""
    asks: Asks | None = field(default=None)

    @property
    def is_asked(self) -> bool:
        """Tell whether a question comes before it."""
        return self.asks is not None

    def before(self, asks: Asks) -> Asks:
        """Decorate what returns the question that comes before."""
        self.asks = asks
        return asks


def act(label: Promise, *, right: Right, is_grave: bool = False) -> Callable[[Does], Act]:
    """Decorate a method of a page as an act: it takes the page, what it is done to and the form's fields."""

    def declare(does: Does) -> Act:
        return Act(name=does.__name__, label=label, right=right, does=does, is_grave=is_grave)

    return declare


def acts_of(page: type[Page]) -> dict[str, Act]:
    """Return the acts of a page and of those that it inherits from, by name."""
    found: dict[str, Act] = {}
    for one in reversed(page.__mro__):
        found |= {name: value for name, value in vars(one).items() if isinstance(value, Act)}
    return found
