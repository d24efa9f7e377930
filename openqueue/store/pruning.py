"""History past its time: finished runs one by one, and flows as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Sum

from openqueue.models import (
    Alert,
    AlertDelivery,
    AuditLog,
    BulkOperation,
    Flow,
    FlowEdge,
    FlowNode,
    IdempotencyKey,
    Run,
    RunEvent,
    RunLog,
)
from openqueue.states import Status
from openqueue.store.flows import chunks

if TYPE_CHECKING:
    from openqueue.store.base import BaseStore


def past_runs(store: BaseStore, status: str, *, before: datetime) -> Any:
    """Return the runs of one outcome that ended before a moment and are no nodes: those go with their flow."""
    node = FlowNode.objects.using(store.alias).filter(pk=OuterRef("pk"))
    return Run.objects.using(store.alias).filter(~Exists(node), outcome=status, finished_at__lt=before)


def past_flows(store: BaseStore, status: str, *, before: datetime) -> Any:
    """Return the flows that ended so before a moment."""
    return Flow.objects.using(store.alias).filter(status=status, finished_at__lt=before)


def count(store: BaseStore, status: str, *, before: datetime, most: int) -> int:
    """Count what `prune` would delete, up to ``most``."""
    runs: int = past_runs(store, status, before=before).order_by("finished_at")[:most].count()
    nodes = past_flows(store, status, before=before).aggregate(nodes=Sum("total"))["nodes"] or 0
    return min(most, runs + nodes)


def prune(store: BaseStore, status: Status, *, before: datetime, limit: int) -> int:
    """Delete a bounded chunk of finished runs with their events and logs, oldest first; then flows, each as a whole."""
    with store.atomic():
        rows = store.locked(past_runs(store, status, before=before))
        ids = list(rows.order_by("finished_at").values_list("pk", flat=True)[:limit])
        delete_runs(store, ids)
    return (
        len(ids)
        if len(ids) == limit
        else len(ids) + prune_flows(store, status, before=before, limit=limit - len(ids))
    )


def prune_flows(store: BaseStore, status: Status, *, before: datetime, limit: int) -> int:
    """Delete flows until so many runs are gone: the last one may be larger. Its row is locked, so nobody retries it."""
    deleted = 0
    while deleted < limit:
        with store.atomic():
            rows = store.locked(past_flows(store, status, before=before)).order_by("finished_at")
            flow = rows.values_list("pk", flat=True).first()
            if flow is None:
                break
            nodes = list(
                FlowNode.objects.using(store.alias).filter(flow_id=flow).values_list("pk", flat=True)
            )
            for some in chunks(nodes):
                delete_runs(store, some)
                FlowEdge.objects.using(store.alias).filter(child__in=some)._raw_delete(store.alias)
            FlowNode.objects.using(store.alias).filter(flow_id=flow)._raw_delete(store.alias)
            Flow.objects.using(store.alias).filter(pk=flow)._raw_delete(store.alias)
        deleted += len(nodes)
    return deleted


def delete_runs(store: BaseStore, runs: Sequence[UUID]) -> None:
    for model in (RunEvent, RunLog):
        events = model.objects.using(store.alias).filter(run_id__in=runs)
        events._raw_delete(store.alias)
    Run.objects.using(store.alias).filter(pk__in=runs)._raw_delete(store.alias)


def prune_audit(store: BaseStore, *, before: datetime, limit: int) -> int:
    """Delete acts of operators that are on record since before a moment, oldest first."""
    return _oldest(store, AuditLog, "at", before=before, limit=limit)


def prune_answers(store: BaseStore, *, before: datetime, limit: int) -> int:
    """Delete answers that nobody gets again: of idempotency keys from before a moment, oldest first."""
    return _oldest(store, IdempotencyKey, "created_at", before=before, limit=limit)


def prune_operations(store: BaseStore, *, before: datetime, limit: int) -> int:
    """Delete acts on many runs that ended before a moment, oldest first; the record of who asked has its own time."""
    return _oldest(store, BulkOperation, "finished_at", before=before, limit=limit)


def prune_alerts(store: BaseStore, *, before: datetime, limit: int) -> int:
    """Delete alerts that were over before a moment, with what was sent of them, and tests of channels; oldest first."""
    deliveries = AlertDelivery.objects.using(store.alias)
    over = Alert.objects.using(store.alias).filter(ended_at__lt=before).order_by("ended_at")
    with store.atomic():
        ids = list(over.values_list("pk", flat=True)[:limit])
        deliveries.filter(alert_id__in=ids)._raw_delete(store.alias)
        Alert.objects.using(store.alias).filter(pk__in=ids)._raw_delete(store.alias)
    tests = deliveries.filter(alert=None, created_at__lt=before).order_by("pk")
    told = list(tests.values_list("pk", flat=True)[:limit])
    deliveries.filter(pk__in=told)._raw_delete(store.alias)
    return len(ids) + len(told)


def _oldest(store: BaseStore, model: Any, column: str, *, before: datetime, limit: int) -> int:
    rows = model.objects.using(store.alias)
    old = rows.filter(**{f"{column}__lt": before}).order_by(column)
    ids = list(old.values_list("pk", flat=True)[:limit])  # MySQL deletes from no table that it asks
    return rows.filter(pk__in=ids)._raw_delete(store.alias) or 0 if ids else 0
