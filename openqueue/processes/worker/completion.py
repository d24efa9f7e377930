"""A body that ends its run in its own transaction: what it wrote and its completion stand or fall together."""

from __future__ import annotations

import logging
from functools import partial

from django.db import connections, transaction

from openqueue.conf import config
from openqueue.core import transitions
from openqueue.errors import LeaseLost
from openqueue.processes.worker.job import Job
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")


def write(job: Job, outcome: Outcome) -> None:
    """Settle in the open transaction of the body's thread.

    Raises:
        TransactionManagementError: none is open on OpenQueue's database, or the run is completed already.
        LeaseLost: the run is not this attempt's any more.
    """
    alias = config.database
    if not connections[alias].in_atomic_block:
        raise transaction.TransactionManagementError(
            f"ctx.complete_in_transaction() needs the transaction that it should commit with. Call it in the thread "
            f"and inside the block of `with transaction.atomic(using={alias!r})`, where OpenQueue's tables are."
        )
    if not transitions.settle_inside(outcome):
        if job.completion is not None:
            raise transaction.TransactionManagementError(
                "ctx.complete_in_transaction() was called before in this attempt. Call it once, as the last thing."
            )
        transaction.set_rollback(True, using=alias)  # also where the body swallows what is raised now
        raise LeaseLost
    job.completion = outcome
    connections[alias].on_commit(partial(committed, job, outcome))


def committed(job: Job, outcome: Outcome) -> None:
    """Note that it stands: there is nothing left to settle."""
    job.completion = outcome._replace(written=True)


def stands(job: Job, *, error: BaseException | None = None) -> Outcome | None:
    """Return the outcome that a body has committed itself; what it raised afterwards changes nothing any more."""
    outcome = job.completion
    if outcome is None or not outcome.written:
        return None
    if error is not None:
        facts = {"run_id": str(job.attempt.run_id), "task_id": job.attempt.task_id}
        logger.error("a body failed after it had completed its run", extra=facts, exc_info=error)
    return outcome
