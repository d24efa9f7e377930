"""Ended runs that an operator has no more use for go at once, instead of when retention comes to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from openqueue.core.resending import again
from openqueue.models import FlowNode, Run
from openqueue.store import pruning, store


def discard(runs: Sequence[UUID]) -> list[UUID]:
    """Delete those of these runs that have ended, with their events and logs; return them.

    Nodes stay: they go with their flow. One transaction, or the caller's.
    """
    return again(partial(_discard, runs))


def nodes(runs: Sequence[UUID]) -> set[UUID]:
    """Return those of these runs that are nodes of flows."""
    return set(FlowNode.objects.using(store().alias).filter(pk__in=runs).values_list("pk", flat=True))


def _discard(runs: Sequence[UUID]) -> list[UUID]:
    with store().own():
        kept = nodes(runs)
        ended = Run.objects.using(store().alias).filter(
            pk__in=[run for run in runs if run not in kept], outcome__isnull=False
        )
        if store().connection.features.has_select_for_update:
            ended = ended.select_for_update()
        gone = list(ended.order_by("pk").values_list("pk", flat=True))
        if gone:
            pruning.delete_runs(store(), gone)
    return gone
