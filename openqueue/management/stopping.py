"""How commands that run on are told to stop: SIGTERM or Ctrl-C, and SIGQUIT for those that can hurry."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def on_stop(act: Callable[[], Any], *, at_once: Callable[[], Any] | None = None) -> Iterator[None]:
    """Call ``act`` for every SIGTERM and SIGINT inside the block, ``at_once`` for SIGQUIT."""
    acts = {signal.SIGTERM: act, signal.SIGINT: act} | ({signal.SIGQUIT: at_once} if at_once else {})
    with on_signals(dict.fromkeys(acts, lambda number: acts[signal.Signals(number)]())):
        yield


@contextmanager
def on_signals(acts: Mapping[signal.Signals, Callable[[int], Any]]) -> Iterator[None]:
    """Call what belongs to a signal with its number inside the block; the handlers of before come back after it.

    An act must take no lock: the main thread could hold the very same when it is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone, and only that may say what they do
        return
    before = {
        number: signal.signal(number, lambda number, _: acts[signal.Signals(number)](number))
        for number in acts
    }
    signal.pthread_sigmask(signal.SIG_UNBLOCK, acts)  # what came while a program replaced itself is heard now
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hold_back(*numbers: signal.Signals) -> None:
    """Keep these signals waiting until the next `on_signals`, even if that is in the program that replaces this one.

    A blocked signal stays pending through execve(2); between two handlers it would end the process, and as the first
    process of a container it would be thrown away.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
