"""What a test says was triggered, compared with what was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from openqueue import secrets
from openqueue.declaration import Task
from openqueue.options import NAMES, Options
from openqueue.retry import Backoff
from openqueue.testing.triggered import Triggered

TOLERANCE: Final = 0.001
"""Seconds; databases round to microseconds, and a float is no decimal."""
TERMS: Final = frozenset({"dedupe_scope", "dedupe_until", "dedupe_window", "debounce", "debounce_max"})
"""Options that say what becomes of other triggers: a run does not show them."""
COMPARABLE: Final = (NAMES | {"runtime"}) - {"atomic"} - TERMS
SHOWN: Final = 20
"""Runs that a failure lists."""


def near(given: float | None, found: float | None) -> bool:
    if given is None or found is None:
        return given is found
    return abs(given - found) <= TOLERANCE


LIKE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "delay": lambda given, found: near(given or 0.0, found),
    "run_at": lambda given, found: abs(given - found) <= timedelta(seconds=TOLERANCE),
    "timeout": near,
    "ttl": near,
    "tags": lambda given, found: sorted(given) == sorted(found),
    "meta": lambda given, found: dict(given) == dict(found),
    "backoff": lambda given, found: Backoff.of(given).to_json() == found,
}
"""How an option is compared, where that is not by ``==``."""


class Expectation:
    """A task, with the arguments and options that matter to the test.

    Raises:
        TypeError: an argument that the task does not take, or an option that there is not.
        TaskDeclarationError: an option's value that no trigger would have taken.
    """

    def __init__(
        self, task: Task[Any, Any], *, arguments: Mapping[str, Any], options: Mapping[str, Any], exact: bool
    ) -> None:
        if not isinstance(task, Task):
            raise TypeError(f"{task!r} is no task. Give the function that @task stands over.")
        self.task = task
        self.arguments = dict(arguments)
        self.options = valid(options)
        self.exact = exact
        signature = task.signature
        known = [name for name in signature.parameters if name != signature.context]
        unknown = sorted(set(arguments) - set(known))
        if unknown and signature.rest is None and signature.schema is None:
            raise TypeError(
                f"{task.id} takes no argument {', '.join(unknown)}. It takes: {', '.join(known) or 'nothing'}."
            )

    def __str__(self) -> str:
        said = ", ".join(f"{name}={self.shown(name)}" for name in self.arguments)
        said = f"{said or 'no arguments'} and nothing else" if self.exact else said
        with_options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        parts = [self.task.id, f"with {said}" if said else "", f"on {with_options}" if with_options else ""]
        return " ".join(part for part in parts if part)

    def fits(self, run: Triggered) -> bool:
        return run.task_id == self.task.id and not self.differences(run)

    def differences(self, run: Triggered) -> list[str]:
        """Return one line for each thing in which a run of this task is not as expected."""
        shown = run.shown_arguments()
        found = self.defaults() | dict(run.arguments)
        lines = []
        for name, value in self.arguments.items():
            if name not in found:
                lines.append(f"{name}: expected {self.shown(name)}, was not given")
            elif not found[name] == value:  # noqa: SIM201  # the objects' own ==, as in `assert`
                was = shown.get(name, repr(found[name]))
                lines.append(f"{name}: expected {self.shown(name)}, was {was}")
        if self.exact:
            beyond = set(run.arguments) - set(self.arguments)
            lines += [
                f"{name}: was {shown[name]}, which was not expected"
                for name in run.arguments
                if name in beyond
                and not (name in self.defaults() and self.defaults()[name] == run.arguments[name])
            ]
        for name, value in self.options.items():
            if not LIKE.get(name, same)(value, getattr(run, name)):
                lines.append(f"{name}: expected {value!r}, was {getattr(run, name)!r}")
        return lines

    def shown(self, name: str) -> str:
        """Return an expected argument for a message, a secret one masked."""
        return secrets.MASK if name in self.task.secret else repr(self.arguments[name])

    def defaults(self) -> dict[str, Any]:
        """Return what the body gets where a trigger says nothing."""
        parameters = self.task.signature.parameters.values()
        return {one.name: one.default for one in parameters if one.default is not one.empty}


def same(given: Any, found: Any) -> bool:
    return bool(given == found)


def valid(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in the form in which they are stored: durations in seconds, moments in UTC."""
    if unknown := sorted(set(options) - COMPARABLE):
        raise TypeError(
            f"options= does not know {', '.join(unknown)}. It takes: {', '.join(sorted(COMPARABLE))}."
        )
    usable = {name: value for name, value in options.items() if name in NAMES}
    checked = replace(Options(), **usable).checked()
    return {name: getattr(checked, name) if name in NAMES else value for name, value in options.items()}


def report(runs: Sequence[Triggered], *, expected: Expectation | None = None, hint: str = "") -> str:
    """Return what was triggered, one run a line, under each of the expected task what is different about it."""
    if not runs:
        return "\n".join(["Nothing was triggered.", *([hint] if hint else [])])
    width = max(len(run.task_id) for run in runs)
    lines = [f"Triggered {'was' if len(runs) == 1 else 'were'}:"]
    for number, run in enumerate(runs[:SHOWN]):
        arguments = ", ".join(f"{name}={value}" for name, value in run.shown_arguments().items())
        lines.append(
            f"  [{number}] {run.task_id.ljust(width)}  {arguments or 'no arguments'}  ({facts(run)})"
        )
        if expected is not None and run.task_id == expected.task.id:
            lines += [f"        {line}" for line in expected.differences(run)]
    if len(runs) > SHOWN:
        lines.append(f"  and {len(runs) - SHOWN} more")
    return "\n".join([*lines, *([hint] if hint else [])])


def facts(run: Triggered) -> str:
    """Return the options worth a look."""
    said = [f"queue {run.queue}"]
    if run.delay > TOLERANCE:
        said.append(f"due {run.delay:g} s after its trigger")
    if run.priority:
        said.append(f"priority {run.priority}")
    if run.tags:
        said.append(f"tags {', '.join(run.tags)}")
    return ", ".join(said)
