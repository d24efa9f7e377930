"""How commands that run on are told to stop: SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def on_stop(act: Callable[[], Any]) -> Iterator[None]:
    """Call ``act`` for every SIGTERM and SIGINT inside the block; the handlers of before come back after it.

    ``act`` must take no lock: the main thread could hold the very same when it is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone, and only that may say what they do
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: act()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
