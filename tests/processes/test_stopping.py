"""A stop that comes while a program replaces itself: heard by its successor."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, sys
from openqueue.management.stopping import hold_back, on_stop

heard = []
if sys.argv[1:]:
    with on_stop(lambda: heard.append("stop")):
        print(heard)
else:
    with on_stop(lambda: print("too early")):
        hold_back(signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], "again"])
"""


def test_a_stop_between_two_programs_is_heard_by_the_second():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "['stop']\n"), done.stderr
