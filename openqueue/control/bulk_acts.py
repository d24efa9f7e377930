"""Acts on all runs that a search finds, for a caller from outside: within what the caller may and sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from openqueue.control import bulk
from openqueue.control.bulk import BulkFacts, Preview
from openqueue.control.callers import Caller, Right
from openqueue.errors import UnclearOperation
from openqueue.wording import say as _

RIGHTS: Final = {
    "cancel": Right.CANCEL,
    "retry": Right.RETRY,
    "promote": Right.PROMOTE,
    "prioritise": Right.PROMOTE,
    "discard": Right.DISCARD,
}
"""What each act needs."""


def preview(act: str, search: str, *, caller: Caller, arguments: Mapping[str, Any] | None = None) -> Preview:
    """Count what an act would come to; nothing is changed.

    Raises:
        NotAllowed: the caller lacks the right.
        PayloadInvalid, UnclearSearch: as `bulk.preview`.
    """
    _allow(act, caller)
    return bulk.preview(
        act,
        search,
        arguments=arguments,
        queues=_queues(caller),
        sees_payloads=caller.may(Right.DATA),
    )


def ask(
    act: str,
    search: str,
    *,
    caller: Caller,
    arguments: Mapping[str, Any] | None = None,
    reason: str = "",
    drives: bool = False,
) -> BulkFacts:
    """Have an act done to all runs that a search finds now; see `bulk.ask`.

    Raises:
        NotAllowed: the caller lacks the right.
        PayloadInvalid, UnclearSearch: as `bulk.preview`.
    """
    _allow(act, caller)
    return bulk.ask(
        act,
        search,
        actor=caller.actor,
        reason=reason,
        arguments=arguments,
        queues=_queues(caller),
        sees_payloads=caller.may(Right.DATA),
        drives=drives,
    )


def show(operation: UUID, *, caller: Caller) -> BulkFacts:
    """Return how one stands. This and the acts on it raise UnclearOperation for one that the caller does not see."""
    caller.needs(Right.READ)
    return _seen(bulk.show(operation), caller)


def listing(*, caller: Caller, limit: int = 50) -> list[BulkFacts]:
    """Return the newest; for a caller who sees some queues only, its own."""
    caller.needs(Right.READ)
    return [one for one in bulk.listing(limit=limit) if _sees(one, caller)]


def stop(operation: UUID, *, caller: Caller, reason: str = "") -> BulkFacts:
    """End one behind the batch that it is at.

    Raises:
        NotAllowed: the caller lacks the right to the act itself.
        WrongState: it is through already.
    """
    _allow(_seen(bulk.show(operation), caller).act, caller)
    return bulk.stop(operation, actor=caller.actor, reason=reason)


def resume(operation: UUID, *, caller: Caller, reason: str = "") -> BulkFacts:
    """Go on with one that was interrupted.

    Raises:
        NotAllowed: the caller lacks the right to the act itself.
        WrongState: it is through, or somebody is at it.
    """
    _allow(_seen(bulk.show(operation), caller).act, caller)
    return bulk.resume(operation, actor=caller.actor, reason=reason)


def _allow(act: str, caller: Caller) -> None:
    if act in RIGHTS:  # an act that there is not is refused by its name
        caller.needs(RIGHTS[act])


def _queues(caller: Caller) -> list[str] | None:
    return None if caller.queues is None else sorted(caller.queues)


def _sees(one: BulkFacts, caller: Caller) -> bool:
    """Tell whether it is of those that exist for the caller: what others searched for is not the caller's to know."""
    return caller.queues is None or one.actor == caller.actor.name


def _seen(one: BulkFacts, caller: Caller) -> BulkFacts:
    if not _sees(one, caller):
        raise UnclearOperation(_("There is no bulk operation {id}.", id=one.id))
    return one
