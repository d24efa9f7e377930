"""Has a worker reloaded when a file of its code changes: the files that `runserver` watches too."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from django.utils import autoreload

logger = logging.getLogger("openqueue")
EVERY: Final = 1.0
"""Seconds between looks."""


class Sources:
    """The files of the modules that this process has loaded.

    Django's own reloader knows of changes since its first look, which is seconds after a fresh process has read the
    files. Whoever saves twice in that time would go on with the old code.
    """

    def __init__(self, *, since: float) -> None:
        self.since = since
        """When this process began, as the time of files: what is younger is not what was loaded."""
        self.seen: dict[Path, float] = {}

    def changed(self) -> Path | None:
        """Return a file that is not as it was loaded."""
        now = time.time()
        for file, at in looked_at(autoreload.iter_all_python_module_files()):
            # One from the future is no news: where another host's clock is ahead it would be for ever.
            if self.since < at <= now or self.seen.setdefault(file, at) != at:
                return file
        return None


def looked_at(files: Iterable[Path]) -> Iterable[tuple[Path, float]]:
    for file in files:
        try:
            yield file, file.stat().st_mtime
        except OSError:  # it is being written, or was deleted: what was loaded stands
            continue


def on_change(act: Callable[[], None], *, since: float) -> None:
    """Call ``act``, from a thread of its own, when a module of this process is not any more what it loaded."""
    sources = Sources(since=since)

    def watch() -> None:
        while (file := sources.changed()) is None:
            time.sleep(EVERY)
        logger.warning("changed, reloading once running bodies have ended", extra={"file": str(file)})
        act()

    threading.Thread(target=watch, name="openqueue-sources", daemon=True).start()
