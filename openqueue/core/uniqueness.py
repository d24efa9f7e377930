"""Keys that runs have for themselves: who triggers the like of a run gets that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from django.db import transaction

from openqueue.models import Run
from openqueue.states import FINAL, Status
from openqueue.store import keys, store
from openqueue.types import Holder, Key

NAMESPACE: Final = UUID("6f06e4cc-6d0c-5f3c-8f5a-2f9f4f1c6f0a")
"""Of the names of keys. Never changes: processes of two releases must find the same row."""
USUAL: Final = {"scope": "task", "until": "end"}
MOST_LOOKS: Final = 50
"""After so many a key's row is there that this transaction cannot see."""
MOST_TOLD: Final = 20
"""Duplicates that the history of one run tells of."""


def digest(scope: str, key: str) -> UUID:
    """Return what a key is called in the database: of one length, the same everywhere."""
    return uuid5(NAMESPACE, f"{scope}\0{key}")


def scope(kind: str, *, task_id: str, queue: str) -> str:
    """Return among which runs a key is unique."""
    return {"task": f"task:{task_id}", "queue": f"queue:{queue}", "all": "all"}[kind]


def take(wanted: Sequence[Key], *, now: datetime | None = None) -> dict[UUID, Holder]:
    """Take these keys for their runs; return, by run, who has the others. Each key is named once.

    In the transaction that writes the runs. Where somebody else is about to take one, this waits for their commit.

    Raises:
        TransactionManagementError: the transaction does not see what others have committed since it began.
    """
    left = {key.id: key for key in sorted(wanted, key=lambda key: key.id)}
    held: dict[UUID, Holder] = {}
    duplicates: list[Holder] = []
    moment = None
    for _ in range(MOST_LOOKS):
        if store().take_keys(list(left.values()), now=now) == len(left):
            break
        found, moment = keys.holders(store(), left, now=now)
        stale, waiting = [], {}
        for holder in found:
            key = left[holder.key_id]
            if holder.run_id == key.run_id:
                del left[key.id]
            elif not stands(holder, key):
                stale.append(holder)
            elif key.debounce is not None and holder.status != Status.WAITING:  # that is in no outbox
                waiting[holder.run_id] = holder
            else:
                held[key.run_id] = holder
                duplicates.append(holder)
                del left[key.id]
        for run, status in postpone(waiting, left, now=now).items():
            key = left.pop(waiting[run].key_id)
            held[key.run_id] = waiting[run]._replace(status=status)
        keys.give_up(store(), stale)
        if not left:
            break
    else:
        raise transaction.TransactionManagementError(
            "Somebody else has taken this dedupe_key since this transaction began, which its isolation level hides. "
            "Use READ COMMITTED (Django's default), or trigger outside of the transaction."
        )
    told = [holder for holder in duplicates if holder.told < MOST_TOLD]
    if told and moment is not None:
        keys.note_duplicates(store(), told, moment=moment)
    return held


def stands(holder: Holder, key: Key) -> bool:
    """Tell whether the run that has a key answers for a new one with these terms."""
    if holder.status is None:
        return False
    if holder.in_window and key.debounce is None and holder.status not in FINAL - {Status.COMPLETED}:
        return True
    if holder.status in FINAL:
        return False
    return not key.until_start or holder.status in {Status.SCHEDULED, Status.QUEUED, Status.WAITING}


def postpone(
    waiting: Mapping[UUID, Holder], left: Mapping[UUID, Key], *, now: datetime | None
) -> dict[UUID, Status]:
    """Put off the runs that wait. One that has started since is left out, and does not stand at the next look."""
    changes = {run: change for run, h in waiting.items() if (change := left[h.key_id].debounce) is not None}
    return keys.postpone(store(), changes, now=now) if changes else {}


def free(ended: Mapping[UUID, Status], now: datetime | None) -> None:
    """Free the keys of runs that ended."""
    keys.free(store(), ended, now=now)


def take_again(runs: Sequence[UUID], *, now: datetime | None = None) -> set[UUID]:
    """Have ended runs take their keys once more; return those whose key another run has by now."""
    ended = Run.objects.using(store().alias).filter(pk__in=runs, dedupe_key__isnull=False, status__in=FINAL)
    wanted: dict[UUID, Key] = {}
    beaten = set()
    for run in ended.only("task_id", "queue", "dedupe_key", "options").order_by("pk"):
        terms = (run.options or {}).get("dedupe", USUAL)
        name = scope(terms["scope"], task_id=run.task_id, queue=run.queue)
        key = str(run.dedupe_key)
        mine = Key(digest(name, key), name, key, run.pk, until_start=terms["until"] == "start")
        if wanted.setdefault(mine.id, mine) is not mine:
            beaten.add(run.pk)
    if not wanted:
        return beaten
    keys.free(
        store(), {key.run_id: Status.CANCELLED for key in wanted.values()}, now=now
    )  # whatever its window
    return beaten | set(take(list(wanted.values()), now=now))
