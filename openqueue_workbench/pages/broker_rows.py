"""Queues as their brokers see them, as rows of a table that has the columns which somebody reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext_lazy

from openqueue.control import broker_queues
from openqueue.control.broker_queues import BrokerQueue
from openqueue.control.queues import QueueFacts
from openqueue_workbench import wording

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

NUMBERS: Final = {
    "depth": gettext_lazy("Messages"),
    "unacked": gettext_lazy("Being worked on"),
    "lag": gettext_lazy("Lag"),
    "partitions": gettext_lazy("Partitions"),
    "consumers": gettext_lazy("Consumers"),
    "oldest": gettext_lazy("Oldest message"),
    "rejected": gettext_lazy("Moved aside"),
}
HELP: Final = {
    "depth": gettext_lazy("Messages are news of runs that are due; the runs themselves are counted above."),
    "unacked": gettext_lazy("Being worked on: received, and not settled yet."),
    "lag": gettext_lazy("Lag: records that the consumers have not passed, over all partitions."),
    "rejected": gettext_lazy("Moved aside: unreadable messages, of all queues together."),
}


def are_any(queues: Sequence[QueueFacts]) -> bool:
    """Tell whether one of these has a broker."""
    return any(broker_queues.has_broker(queue.runtime) for queue in queues)


def table(page: Page, queues: Sequence[QueueFacts]) -> dict[str, Any]:
    """Ask the brokers of these queues; return what the table shows."""
    found = broker_queues.read([(queue.name, queue.runtime) for queue in queues])
    numbers = {(one.name, one.runtime): _numbers(one) for one in found}
    shown = [name for name in NUMBERS if any(name in told for told in numbers.values())]
    return {
        "heads": [NUMBERS[name] for name in shown],
        "rows": [
            {
                "queue": one,
                "address": page.to.queue(one.name),
                "cells": [numbers[one.name, one.runtime].get(name, wording.NOTHING) for name in shown],
            }
            for one in found
        ],
        "silent": next((one for one in found if one.stats is None), None),
        "help": [HELP[name] for name in shown if name in HELP],
        "logs": [one for one in found if one.stats and one.stats.partitions],
        "at": page.clock,
    }


def _numbers(queue: BrokerQueue) -> dict[str, str]:
    """Return what is reported, in words."""
    stats = queue.stats
    if stats is None:
        return {}
    told = {name: getattr(stats, name) for name in ("depth", "unacked", "lag", "consumers", "rejected")}
    if stats.partitions:
        told["partitions"] = len(stats.partitions)
    if stats.depth == stats.lag:
        del told["depth"]  # of a log both are the same number
    said = {name: wording.number(value) for name, value in told.items() if value is not None}
    if stats.oldest is not None:
        said["oldest"] = wording.duration(stats.oldest)
    return said
