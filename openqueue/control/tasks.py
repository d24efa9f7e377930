"""Tasks: trigger one by its id, as an operator."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final

from openqueue import registry
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.handle import RunHandle
from openqueue.orders import trigger as order
from openqueue.store import store

SUGGESTED: Final = 3


def trigger(task_id: str, payload: Mapping[str, Any], *, actor: Actor, **options: Any) -> RunHandle[Any]:
    """Create a run and the record of who asked for it; ``options`` are those of ``using()``.

    Raises:
        UnknownTask: no task of this id is registered here.
        PayloadInvalid: the payload does not fit the signature; nothing was written.
        TaskDeclarationError: an option is wrong.
    """
    with store().atomic():
        run = order(task_id, payload, **options)
        facts = {"task_id": run.task_id, "queue": run.queue}
        audit.record([Act("run.trigger", f"run {run.id}", after=facts)], actor=actor)
    return run


def similar(task_id: str) -> list[str]:
    """Return registered ids that may have been meant: the same function elsewhere, or one spelt alike."""
    known = sorted(registry.index())
    function = task_id.rpartition(".")[2]
    namesakes = [name for name in known if name.rpartition(".")[2] == function]
    return list(dict.fromkeys(namesakes + difflib.get_close_matches(task_id, known, n=SUGGESTED)))[:SUGGESTED]
