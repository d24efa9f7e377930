"""How brokers are set up, where their runtime can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from openqueue import runtimes
from openqueue.control.findings import Finding
from openqueue.runtimes.base import BrokerFacts, Describes
from openqueue.wording import say as _

FULL: Final = 0.9
"""Of the broker's memory."""
LONGEST_WAIT: Final = 900
"""Seconds: the cap of the back-offs with which messages are announced again."""


def examine(
    alias: str, facts: dict[str, Any], *, workers: Mapping[str, int] | None = None
) -> Iterator[Finding]:
    """Ask a runtime how its broker is set up, and judge it; nothing from one that cannot tell.

    workers: by queue, how many are alive.
    """
    runtime = runtimes.get(alias)
    if isinstance(runtime, Describes):
        told = runtime.configuration()
        facts |= asdict(told)
        yield from judge(alias, told)
        yield from judge_log(alias, told, workers=workers or {})


def judge(alias: str, told: BrokerFacts) -> Iterator[Finding]:
    """Judge what was told."""
    subject = f"runtime {alias}"
    if told.refuses_writes:
        yield Finding(
            id="refuses_writes",
            subject=subject,
            message=_("The broker takes no messages: {refuses_writes}.", refuses_writes=told.refuses_writes),
            remedy=_(
                "Nothing is lost: runs wait in the database. Mend the broker, and they are announced by "
                "themselves."
            ),
        )
    if told.eviction_policy not in {None, "noeviction"}:
        so_far = _(", {evicted} so far", evicted=told.evicted) if told.evicted else ""
        yield Finding(
            id="eviction",
            subject=subject,
            message=_(
                "The broker throws messages away when it is full{so_far}: its policy is {eviction_policy!r}.",
                so_far=so_far,
                eviction_policy=told.eviction_policy,
            ),
            remedy=_(
                "Set maxmemory-policy noeviction, or give OpenQueue a broker of its own. What was thrown "
                "away is announced again after REPUBLISH_AFTER."
            ),
        )
    if not told.persistence:
        yield Finding(
            id="not_persistent",
            level="info",
            subject=subject,
            message=_("A restart of the broker loses its messages."),
            remedy=_(
                "No run is lost: they are announced again after REPUBLISH_AFTER. If that is too late, "
                "switch on its persistence."
            ),
        )
    if told.used_memory and told.max_memory and told.used_memory > FULL * told.max_memory:
        yield Finding(
            id="broker_memory",
            level="warning",
            subject=subject,
            message=_(
                "The broker uses {used_memory:.0%} of its memory.",
                used_memory=told.used_memory / told.max_memory,
            ),
            remedy=_("Give it more, add workers, or find what else lives there."),
        )
    if told.outdated:
        yield Finding(
            id="broker_outdated",
            subject=subject,
            message=_(
                "The broker is {software} {version}: {outdated}.",
                software=told.software,
                version=told.version,
                outdated=told.outdated,
            ),
            remedy=_("Upgrade it."),
        )
    for queue in told.differing:
        yield Finding(
            id="queue_differs",
            subject=subject,
            message=_("A queue was declared otherwise than the OPTIONS say: {queue}.", queue=queue),
            remedy=_(
                "Its workers do not start. Make the OPTIONS fit, or delete the queue: it is made again, "
                "and no run is lost, for what stood in it is announced again."
            ),
        )
    for queue in told.left_over:
        yield Finding(
            id="queue_left_over",
            level="info",
            subject=subject,
            message=_("The OPTIONS have no use for the queue {queue!r} any more.", queue=queue),
            remedy=_(
                "Delete it, with its exchange, once no process with the earlier OPTIONS runs. No run is lost."
            ),
        )


def judge_log(alias: str, told: BrokerFacts, *, workers: Mapping[str, int]) -> Iterator[Finding]:
    """Judge what only a broker with partitions and copies tells."""
    subject = f"runtime {alias}"
    if told.copies == 1:
        yield Finding(
            id="one_copy",
            level="info" if told.nodes == 1 else "warning",
            subject=subject,
            message=_("Messages lie on one broker alone."),
            remedy=_(
                "When its disk is lost, no run is: they are announced again after REPUBLISH_AFTER. While "
                "it is down nothing is announced. Set 'replication' to 3 and make the topics anew, or "
                "reassign their partitions."
            ),
        )
    if told.copies is not None and told.copies > 1 and told.copies == told.copies_required:
        yield Finding(
            id="no_copy_to_spare",
            level="warning",
            subject=subject,
            message=_(
                "All {copies} copies must be in step: one broker less, and nothing is published.",
                copies=told.copies,
            ),
            remedy=_("Set min.insync.replicas to {copies}, or add a copy.", copies=told.copies - 1),
        )
    if told.retention is not None and told.retention < LONGEST_WAIT:
        yield Finding(
            id="short_retention",
            level="warning",
            subject=subject,
            message=_("Messages are deleted after {retention:g} s, read or not.", retention=told.retention),
            remedy=_(
                "Set retention.ms above {longest_wait} s, which is how long a message may wait to be "
                "announced again. No run is lost, but what was deleted is late.",
                longest_wait=LONGEST_WAIT,
            ),
        )
    for queue, count in told.partitions.items():
        if workers.get(queue, 0) > count:
            yield Finding(
                id="few_partitions",
                level="warning",
                subject=subject,
                message=_(
                    "Queue {queue!r} has {count} partitions and {workers} workers: the others receive "
                    "nothing.",
                    queue=queue,
                    count=count,
                    workers=workers[queue],
                ),
                remedy=_(
                    "Give the topic {workers} partitions or more. They can be added while it works.",
                    workers=workers[queue],
                ),
            )
