"""Keeps what a body logs and prints with its run, whatever logger it uses."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

from openqueue.context import STDERR, STDOUT, Reporter, current

STREAMS: Final = {"stdout": STDOUT, "stderr": STDERR}


class LogCapture(logging.Handler):
    """A handler of the root logger that looks whether a body runs here, and two streams that do the same."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.INFO)
        self.reporter = reporter
        self.heard: set[logging.Logger] = set()
        self.streams: dict[str, Printed] = {}
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
        self.reporter.log(context, level=record.levelno, text=text)

    def install(self) -> None:
        """Start keeping. Lines of `ctx.logger` that never reach the root are heard where they stop."""
        last = logging.getLogger("openqueue.run")
        while last.propagate and last.parent is not None:
            last = last.parent
        self.heard = {logging.getLogger(), last}
        for one in self.heard:
            one.addHandler(self)
        for name, level in STREAMS.items():
            stream = getattr(sys, name)
            if stream is not None:  # as in a process without a console
                self.streams[name] = Printed(stream, level=level)
                setattr(sys, name, self.streams[name])

    def remove(self) -> None:
        """Stop keeping."""
        for one in self.heard:
            one.removeHandler(self)
        for name, stream in self.streams.items():
            stream.stopped = True
            if getattr(sys, name) is stream:  # else somebody has put another in its place, and holds this one
                setattr(sys, name, stream.stream)


class Printed:
    """Stands for a text stream, and lets the run of the body that prints hear it too. Everything else is the stream's.

    What goes around it is shown and not kept: `sys.stdout.buffer`, the file descriptor, threads and programs that the
    body starts.
    """

    def __init__(self, stream: TextIO, *, level: int) -> None:
        self.stream = stream
        self.level = level
        self.stopped = False

    def write(self, text: str) -> int:
        """Write to the stream; keep it if a body runs here."""
        written = self.stream.write(text)
        if (context := current.get()) is not None and not self.stopped:
            context.overhear(text, level=self.level)
        return written

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __iter__(self) -> Any:
        return iter(self.stream)

    def __enter__(self) -> Printed:
        return self

    def __exit__(self, *_: object) -> None:
        """Stay open: it is the process's own."""
