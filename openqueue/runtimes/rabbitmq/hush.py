"""pika logs each failed connection in a dozen lines, with tracebacks. We say it once, in words that help."""

from __future__ import annotations

import logging
import threading

from openqueue.runtimes.rabbitmq.wire import THREADS


class Hush(logging.Filter):
    """Lets nothing through that the threads of this runtime log; other users of pika keep theirs."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not threading.current_thread().name.startswith(THREADS)


def hush() -> None:
    """Have pika's loggers leave out what is ours."""
    filter_ = Hush()
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "pika"]:
        logging.getLogger(name).addFilter(filter_)
