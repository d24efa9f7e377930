"""The work: who does it, what is in nobody's hands, what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Exists, OuterRef

import openqueue
from openqueue.conf import config
from openqueue.control import workers
from openqueue.control.doctor import permits
from openqueue.control.findings import Finding
from openqueue.control.overview import Overview
from openqueue.control.queues import QueueFacts
from openqueue.control.workers import WorkerFacts
from openqueue.models import AlertDelivery, Claim, DeadLetter, FlowNode, Outbox, Run
from openqueue.store import store

NAMED: Final = 5
"""Of a kind that a message names."""
SETTLED: Final = timedelta(minutes=1)
"""A run that is younger may be on its way between two places."""
RECENT: Final = timedelta(days=1)
LETTERS: Final = 100
"""Dead letters looked at, newest first."""


def findings(view: Overview, facts: dict[str, Any]) -> Iterator[Finding]:
    """Look at what the overview saw once more, and at rows that should not be."""
    clock = view.at or store().clock(None)
    yield from of_workers(view.workers)
    for queue in view.queues:
        yield from of_queue(queue)
    yield from of_tasks(view.workers, facts)
    yield from permits.findings(view.queues, clock, facts)
    yield from of_places(clock, facts)
    yield from of_letters(clock, facts)
    yield from of_channels(clock, facts)


def of_workers(fleet: Sequence[WorkerFacts]) -> Iterator[Finding]:
    """Look for workers that were lost, or are of another release."""
    lost = [w for w in fleet if w.state == workers.LOST and -w.lease_left < RECENT.total_seconds()]
    if lost:
        yield Finding(
            id="workers_lost",
            level="warning",
            subject="workers",
            message=f"{len(lost)} workers were lost in the last day: {some(f'{w.host}:{w.pid}' for w in lost)}.",
            remedy="Look at what ended them: memory (see the kernel's log), a kill without a grace, a database away.",
        )
    others = [w for w in fleet if w.is_alive and w.version != openqueue.__version__]
    if others:
        yield Finding(
            id="worker_version",
            level="warning",
            subject="workers",
            message=f"{len(others)} live workers are not of release {openqueue.__version__}: "
            f"{some(f'{w.host}:{w.pid} ({w.version})' for w in others)}.",
            remedy="Usual in the middle of a deployment; otherwise restart them.",
        )


def of_queue(queue: QueueFacts) -> Iterator[Finding]:
    """Look for work that somebody paused, or that waits where no new work goes."""
    if queue.paused and queue.due and queue.behaviour and not queue.draining:
        since = "" if queue.closed_for is None else f" {queue.closed_for / 60:.0f} min ago"
        yield Finding(
            id="disabled",
            level="warning",
            subject=f"queue {queue.name}",
            message=f"{queue.due} due, and {queue.closed_by or 'somebody'} disabled the queue{since}. "
            f"Reason: {queue.close_reason or 'none given'}.",
            remedy=f"When it is over: `openqueue_queues enable {queue.name}`.",
        )
    elif queue.paused and queue.due:
        since = "" if queue.paused_for is None else f" {queue.paused_for / 60:.0f} min ago"
        yield Finding(
            id="paused",
            level="warning",
            subject=f"queue {queue.name}",
            message=f"{queue.due} due, and {queue.paused_by or 'somebody'} paused the queue{since}. "
            f"Reason: {queue.pause_reason or 'none given'}.",
            remedy=f"When it is over: `openqueue_queues resume {queue.name}`.",
        )
    setting = config.runtime_of(queue.name).alias
    if queue.runtime != setting and (queue.due or queue.later):
        yield Finding(
            id="other_runtime",
            level="warning",
            subject=f"queue {queue.name}",
            message=f"{queue.due + queue.later} wait on the runtime {queue.runtime!r}, while the settings send new "
            f"ones to {setting!r}.",
            remedy=f"Move them: `openqueue_queues move {queue.name} --to {setting}`.",
        )


def of_tasks(fleet: Sequence[WorkerFacts], facts: dict[str, Any]) -> Iterator[Finding]:
    """Look for waiting runs of tasks that no live worker has. Without any worker, each queue says so by itself."""
    waiting = Outbox.objects.using(store().alias).order_by().values("task_id").annotate(runs=Count("pk"))
    facts["waiting_by_task"] = counts = dict(waiting.values_list("task_id", "runs"))
    if not any(worker.is_alive for worker in fleet):
        return
    if unserved := {task: counts[task] for task in sorted(set(counts) - store().served_tasks())}:
        yield Finding(
            id="unserved_task",
            level="warning",
            subject="tasks",
            message=f"Waiting for workers that know them: {some(f'{n} of {task}' for task, n in unserved.items())}.",
            remedy="Deploy the code that has them to the workers, or cancel the runs: `openqueue_runs list --task`.",
        )


def of_places(clock: datetime, facts: dict[str, Any]) -> Iterator[Finding]:
    """Look for unfinished runs in no place, and for places of runs that are over: there should be none."""
    alias = store().alias
    outbox = Outbox.objects.using(alias).filter(run_id=OuterRef("pk"))
    claims = Claim.objects.using(alias).filter(run_id=OuterRef("pk"))
    nodes = FlowNode.objects.using(alias).filter(run_id=OuterRef("pk"), waiting=True)
    nowhere = Run.objects.using(alias).filter(
        ~Exists(outbox), ~Exists(claims), ~Exists(nodes), outcome__isnull=True, created_at__lt=clock - SETTLED
    )
    facts["in_no_place"] = lost = [
        str(pk) for pk in nowhere.order_by().values_list("pk", flat=True)[: NAMED + 1]
    ]
    if lost:
        yield Finding(
            id="in_no_place",
            subject="runs",
            message=f"Unfinished, and neither waiting nor held by anyone: {some(lost)}.",
            remedy="Rows were deleted by hand, or this is a bug: report it with `openqueue_runs show`, and trigger "
            "anew what they were to do.",
        )
    over = Run.objects.using(alias).filter(pk=OuterRef("run_id"), outcome__isnull=True)
    useless = Outbox.objects.using(alias).filter(~Exists(over)).order_by()
    facts["places_of_finished"] = wrong = [
        str(pk) for pk in useless.values_list("pk", flat=True)[: NAMED + 1]
    ]
    if wrong:
        yield Finding(
            id="places_of_finished",
            level="warning",
            subject="outbox",
            message=f"Rows wait for runs that are over or gone: {some(wrong)}.",
            remedy="Workers drop them as they come to them. Rows were written by hand, or this is a bug: report it.",
        )


def of_letters(clock: datetime, facts: dict[str, Any]) -> Iterator[Finding]:
    """Look for messages of the last day that were none of ours."""
    newest = DeadLetter.objects.using(store().alias).order_by("-pk").values_list("at", "runtime", "queue")
    recent = [row for row in newest[:LETTERS] if row[0] > clock - RECENT]
    facts["dead_letters_last_day"] = len(recent)
    if recent:
        more = " or more" if len(recent) == LETTERS else ""
        yield Finding(
            id="dead_letters",
            level="warning",
            subject="dead letters",
            message=f"{len(recent)}{more} messages of the last day were no announcements, in "
            f"{some(sorted({f'{queue} on {runtime}' for _, runtime, queue in recent}))}.",
            remedy="Find out who else writes there; DeadLetter keeps the head of each.",
        )


def of_channels(clock: datetime, facts: dict[str, Any]) -> Iterator[Finding]:
    """Look for channels of alerts that messages did not reach: who should hear of it does not."""
    given_up = AlertDelivery.objects.using(store().alias).filter(
        state="failed", created_at__gt=clock - RECENT, channel__isnull=False
    )
    counts = given_up.order_by("channel_name").values_list("channel_name").annotate(messages=Count("pk"))
    facts["alerts_given_up_last_day"] = failing = dict(counts)
    if failing:
        yield Finding(
            id="alert_channel_failing",
            level="warning",
            subject="alerts",
            message=f"Messages of the last day were given up: {some(f'{n} to {name}' for name, n in failing.items())}.",
            remedy="GET alerts/deliveries?state=failed has the log of their tries. Mend the channel, and test it.",
        )


def some(names: Any) -> str:
    """Return the first few of them as text."""
    every = list(names)
    return ", ".join(every[:NAMED]) + (" and more" if len(every) > NAMED else "")
