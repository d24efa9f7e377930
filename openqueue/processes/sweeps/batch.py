"""How much a sweep does at once: less, where the database ends statements that take long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError

from openqueue.store.refusals import took_too_long

logger = logging.getLogger("openqueue")

T = TypeVar("T")


class Batch:
    """A size that is halved each time the database's statement timeout ends what was too large for it."""

    def __init__(self, size: int) -> None:
        self.size = size

    def do(self, act: Callable[[int], T]) -> T:
        """Call ``act`` with the size, again with half of it when that took too long."""
        while True:
            try:
                return act(self.size)
            except OperationalError as error:
                if self.size == 1 or not took_too_long(error):
                    raise
                self.size //= 2
                logger.warning("took too long, going on in smaller batches", extra={"size": self.size})
