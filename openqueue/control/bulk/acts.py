"""The acts that a search can be given to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from openqueue.control import error_runs, verbs
from openqueue.control.verbs import Answers
from openqueue.errors import PayloadInvalid
from openqueue.wording import say as _

OTHER_ERROR: Final = "another error"
"""Why a run was skipped that failed, but not as those of the group that was meant."""
Does = Callable[[Sequence[UUID], str, Mapping[str, Any]], Answers]
"""Gets runs, the name of the actor, and the act's arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAct:
    """One of them."""

    name: str
    does: Does
    past: str
    """What is said of runs that it was done to."""
    arguments: frozenset[str] = frozenset()
    """What it takes and needs."""
    optional: frozenset[str] = frozenset()


def _retry(runs: Sequence[UUID], actor: str, arguments: Mapping[str, Any]) -> Answers:
    answers = dict.fromkeys(runs, OTHER_ERROR)
    if "error" in arguments:
        alike = error_runs.among(arguments["error"], runs)
        runs = [run for run in runs if run in alike]
    return answers | verbs.retry(runs, actor=actor, before=verbs.labels(runs))


def _prioritise(runs: Sequence[UUID], actor: str, arguments: Mapping[str, Any]) -> Answers:
    return verbs.prioritise(runs, priority=arguments["priority"], actor=actor)


ACTS: Final = {
    act.name: act
    for act in (
        BulkAct(name="cancel", past="cancelled", does=lambda runs, actor, _: verbs.cancel(runs, actor=actor)),
        BulkAct(name="retry", past="retried", does=_retry, optional=frozenset({"error"})),
        BulkAct(
            name="promote", past="promoted", does=lambda runs, actor, _: verbs.promote(runs, actor=actor)
        ),
        BulkAct(name="prioritise", past="prioritised", does=_prioritise, arguments=frozenset({"priority"})),
        BulkAct(name="discard", past="discarded", does=lambda runs, _actor, _: verbs.discard(runs)),
    )
}
"""By name."""


def checked(name: str, arguments: Mapping[str, Any]) -> BulkAct:
    """Return an act.

    Raises:
        PayloadInvalid: there is no such act, or it takes other arguments.
    """
    act = ACTS.get(name)
    if act is None:
        raise PayloadInvalid(
            [("act", _("is {name!r}. There are: {names}", name=name, names=", ".join(ACTS)))]
        )
    missing = sorted(act.arguments - set(arguments))
    unknown = sorted(set(arguments) - act.arguments - act.optional)
    if missing or unknown:
        raise PayloadInvalid(
            [(argument, _("is missing: {name} takes it", name=name)) for argument in missing]
            + [(argument, _("is no argument of {name}", name=name)) for argument in unknown]
        )
    if "priority" in arguments:
        verbs.checked_priority(arguments["priority"])
    return act
