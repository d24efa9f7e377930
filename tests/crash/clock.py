"""A wall clock of its own for a process, which a test may set while the process runs."""

from __future__ import annotations

import atexit
import mmap
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

HOW_TO_GET_A_COMPILER = (
    "no C compiler to make a false clock with; on Debian and Ubuntu: sudo apt-get install gcc libc6-dev"
)
SOURCE = Path(__file__).with_suffix(".c")


@cache
def library() -> Path:
    """Compile what is preloaded into a process whose clock is to be wrong."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler is not None, HOW_TO_GET_A_COMPILER
    made = Path(mkdtemp(prefix="openqueue-clock-"), "clock.so")
    atexit.register(shutil.rmtree, made.parent, ignore_errors=True)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE, "-ldl"], check=True)
    made.parent.chmod(0o755)
    return made


class WallClock:
    """So many seconds off; start a process with its `environment`."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(bytes(mmap.PAGESIZE))
        self.file = file
        self.environment = {"LD_PRELOAD": str(library()), "OPENQUEUE_TEST_CLOCK": str(file)}

    def set(self, seconds: int) -> WallClock:
        """Be so many seconds ahead of the true time from now on."""
        with self.file.open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as mapped:
            mapped[:8] = struct.pack("=q", seconds)
        return self
