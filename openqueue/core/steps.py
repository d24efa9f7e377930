"""Named steps of a long task: what is done is recorded in the run's history, and not done again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from asgiref.sync import sync_to_async

from openqueue import codec
from openqueue.conf import config
from openqueue.core import rehearsal
from openqueue.errors import LeaseLost, PayloadInvalid, ResultInvalid, StepRepeated
from openqueue.models import Claim, RunEvent
from openqueue.states import Kind, Status
from openqueue.store import store

LONGEST_NAME: Final = 200
NOTHING: Final = object()


class Steps:
    """The steps of one attempt. Outside of a worker (``token`` None) they are done and not recorded."""

    def __init__(
        self, run_id: UUID, *, attempt: int, token: UUID | None, mask: Callable[[Any], Any] | None
    ) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.token = token
        self.mask = mask
        self.done: dict[str, Any] | None = None
        """Results of earlier attempts, by name."""
        self.named: set[str] = set()

    def do(self, name: str, function: Callable[[], Any]) -> Any:
        """Return the recorded result, or call and record."""
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"step {name!r} is a coroutine function. Write: await ctx.astep({name!r}, ...).")
        known = self.find(name)
        return self.record(name, function()) if known is NOTHING else known

    async def ado(self, name: str, function: Callable[[], Any]) -> Any:
        """Return the recorded result, or call and record; the database is asked on a thread."""
        known = await sync_to_async(self.find)(name)
        if known is not NOTHING:
            return known
        result = function() if inspect.iscoroutinefunction(function) else await sync_to_async(function)()
        if inspect.isawaitable(result):
            result = await result
        return await sync_to_async(self.record)(name, result)

    def find(self, name: str) -> Any:
        """Return what an earlier attempt recorded; NOTHING if none did."""
        given: Any = name
        if not isinstance(given, str) or not name.strip() or len(name) > LONGEST_NAME:
            raise ValueError(f"step name {name!r} must be 1 to {LONGEST_NAME} characters")
        if name in self.named:
            raise StepRepeated(name)
        self.named.add(name)
        if self.done is None:
            self.done = {} if self.token is None else recorded(self.run_id)
        return self.done.get(name, NOTHING)

    def record(self, name: str, result: Any) -> Any:
        """Write a step's result into the run's history; return it as a later attempt will read it."""
        try:
            text = codec.encode(result, what=f"step {name!r}", limit=config.result_limit)
        except PayloadInvalid as error:
            raise ResultInvalid.of(error) from error
        value = codec.decode(text)
        if self.mask is not None and self.mask(value) != value:
            why = "holds a secret of the run, which is recorded nowhere: return something else"
            raise ResultInvalid([(f"step {name!r}", why)])
        if self.token is None:
            return value
        if not Claim.objects.using(store().alias).filter(pk=self.run_id, token=self.token).exists():
            raise LeaseLost(self.run_id)
        RunEvent.objects.using(store().alias).create(
            run_id=self.run_id,
            attempt=self.attempt,
            kind=Kind.STEP,
            data={"name": name, "result": value},
            at=store().clock(rehearsal.moment()),
        )
        return value


def recorded(run_id: UUID) -> dict[str, Any]:
    """Return the steps that stand. An operator's retry of a run that had completed begins without them."""
    found: dict[str, Any] = {}
    events = RunEvent.objects.using(store().alias).filter(run_id=run_id, kind__in=[Kind.STEP, Kind.REQUEUED])
    for kind, data in events.order_by("pk").values_list("kind", "data"):
        facts: dict[str, Any] = data or {}
        if kind == Kind.STEP:
            found[facts["name"]] = facts["result"]
        elif facts.get("status") == Status.COMPLETED:
            found.clear()
    return found
