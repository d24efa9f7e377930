"""What makes two failures the same: the task, the class of the error, and where in the project's code it came up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

FRAME: Final = re.compile(r'^\s*File "([^"\n]{1,1000})", line \d+, in (.{1,200})$', re.MULTILINE)
FOREIGN: Final = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python3[^/\\]*|openqueue)[/\\]|^<")
KEPT_PARTS: Final = 3
"""Of a path: what lies above differs from host to host, and from release to release."""
CHANGING: Final = re.compile(
    r"""(?x)
    [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}   # UUIDs
    | '[^'\n]*' | "[^"\n]*"                                 # what is quoted
    | \b0x[0-9a-fA-F]+ | \b(?=[a-f]*\d)[0-9a-f]{7,}\b       # addresses, hashes
    | \d+(?:[.,:_-]\d+)*                                    # numbers, times
    """
)
LONGEST_PLACE, LONGEST_MESSAGE, LONGEST_TYPE = 300, 500, 256


class Failure(NamedTuple):
    """One failure, as its group is known."""

    fingerprint: str
    task_id: str
    type: str
    place: str
    message: str


def failure(task_id: str, error: Any) -> Failure:
    """Return what an error is known by, whatever is on record; never raise."""
    told: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    kind = str(told.get("type") or "(not told)")[:LONGEST_TYPE]
    message = str(told.get("message") or "")
    place = own_frame(str(told.get("traceback") or "")) or shape(message)
    digest = hashlib.sha256("\0".join([task_id, kind, place]).encode("utf-8", "backslashreplace"))
    return Failure(digest.hexdigest()[:32], task_id, kind, place, message[:LONGEST_MESSAGE])


def own_frame(traceback: str) -> str:
    """Return file and function of the innermost frame that is no library's; empty without one."""
    own = [(path, name) for path, name in FRAME.findall(traceback) if not FOREIGN.search(path)]
    if not own:
        return ""
    path, name = own[-1]
    parts = re.split(r"[/\\]", path)[-KEPT_PARTS:]
    return f"{'/'.join(parts)} in {name}"[-LONGEST_PLACE:]


def shape(message: str) -> str:
    """Return a message without what changes from run to run."""
    return CHANGING.sub("…", message[:2_000])[:LONGEST_PLACE]
