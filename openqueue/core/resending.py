"""Send a set-wise change again after the database refused it for the moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from django.db import InterfaceError, OperationalError

from openqueue.store import store
from openqueue.store.refusals import is_locked, is_transient

logger = logging.getLogger("openqueue")

T = TypeVar("T")
TRANSIENT_TRIES: Final = 8


def again(act: Callable[[], T]) -> T:
    """Do a set-wise change; send it again after a deadlock or a serialisation failure.

    Inside the caller's own transaction nothing can be sent again: the error is the caller's.
    """
    for _ in range(TRANSIENT_TRIES):
        try:
            return act()
        except (OperationalError, InterfaceError) as error:
            if store().connection.in_atomic_block or not is_transient(error) or is_locked(error):
                raise
            logger.info("sent again after a transient database error", extra={"error": str(error)[:200]})
    return act()
