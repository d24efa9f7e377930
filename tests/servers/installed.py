"""Which servers this machine has; standard library only, for it is asked before anything is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

HOW_TO_GET_POSTGRESQL = (
    "PostgreSQL 15 or newer is not installed; on Debian and Ubuntu: sudo apt-get install postgresql"
)


def postgresql_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server installed, if there is any."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(re.sub(r"[^0-9.]", "", path.parts[-3]) or 0),
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def postgresql_version() -> str:
    """Return the version that tests of this machine run on, such as 15.18."""
    folder = postgresql_binaries()
    if folder is None:
        return ""
    command = [folder / "postgres", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return match[0] if (match := re.search(r"\d+(\.\d+)+|\d+\w*$", said)) else said.strip()
