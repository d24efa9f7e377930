"""Keeps what a body logs with its run, whatever logger it uses."""

from __future__ import annotations

import logging

from openqueue.context import current
from openqueue.processes.worker.recorder import Recorder


class LogCapture(logging.Handler):
    """A handler of the root logger that looks whether a body runs here."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(logging.INFO)
        self.recorder = recorder
        self.heard: set[logging.Logger] = set()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record; the engine's own are not the body's."""
        context = current.get()
        if context is None or record.name == "openqueue" or record.name.startswith("django.db"):
            return
        try:
            text = self.format(record)
        except Exception:  # whatever a broken __str__ in the arguments raises
            self.handleError(record)
            return
        self.recorder.log(context, level=record.levelno, text=text)

    def install(self) -> None:
        """Start keeping. Lines of `ctx.logger` that never reach the root are heard where they stop."""
        last = logging.getLogger("openqueue.run")
        while last.propagate and last.parent is not None:
            last = last.parent
        self.heard = {logging.getLogger(), last}
        for one in self.heard:
            one.addHandler(self)

    def remove(self) -> None:
        """Stop keeping."""
        for one in self.heard:
            one.removeHandler(self)
