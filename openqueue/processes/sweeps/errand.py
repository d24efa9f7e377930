"""Work that may take long, done beside the sweeps by threads that end when it is done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.db import connections

logger = logging.getLogger("openqueue")


class Errand:
    """So many threads at most that do one thing; while as many are at it, nothing begins."""

    def __init__(self, name: str, *, most: int = 1) -> None:
        self.name = name
        self.most = most
        self.threads: list[threading.Thread] = []

    def start(self, act: Callable[[], Any]) -> bool:
        """Begin; tell whether there was room for it."""
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        if len(self.threads) >= self.most:
            return False
        # Daemons: what they were at when their process ends is taken up again by another.
        thread = threading.Thread(target=self.run, args=[act], name=f"openqueue-{self.name}", daemon=True)
        self.threads.append(thread)
        thread.start()
        return True

    def run(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception:  # the database may be away: the next turn tries again
            logger.warning("%s failed, it will be tried again", self.name, exc_info=True)
        finally:
            connections.close_all()
