"""Logs of the engine: receivers of its own signals, as any user could write them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from openqueue import signals

logger = logging.getLogger("openqueue")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def on_settled(
    sender: Any, *, run_id: Any, attempt: int, queue: str, status: str, reason: str, duration: float | None,
    error: dict[str, Any] | None, **_: Any,
) -> None:  # fmt: skip
    """Log how an attempt ended."""
    level = {"completed": logging.DEBUG, "failed": logging.ERROR}.get(status, logging.INFO)
    if not logger.isEnabledFor(level):
        return
    facts = {
        "run_id": str(run_id),
        "task_id": sender.id,
        "queue": queue,
        "attempt": attempt,
        "reason": reason,
    }
    facts["seconds"] = None if duration is None else round(duration, 4)
    if error:
        facts["error"] = f"{error.get('type')}: {error.get('message')}"[:300]
    said = "released" if status == "queued" else status
    logger.log(
        level, "run %s", said, extra={key: value for key, value in facts.items() if value not in (None, "")}
    )


class TextFormatter(logging.Formatter):
    """A line for people: time, level, sentence, facts. Control characters are shown, not obeyed."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        clock = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        facts = " ".join(f"{key}={value}" for key, value in extra(record).items())
        line = f"{clock} {record.levelname.lower():8}{record.getMessage()}  {facts}".rstrip()
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JSONFormatter(logging.Formatter):
    """A line for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in STANDARD}


def configure(*, verbosity: int, form: str, stream: Any) -> None:
    """Give the engine's logger a handler of its own unless the project has configured one; 2 shows every run."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    if not logger.handlers:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter())
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    if logger.isEnabledFor(logging.INFO):
        signals.run_settled.connect(on_settled, dispatch_uid="openqueue.logs")
