"""The loop that every part of a process runs in."""

from __future__ import annotations

import threading

import pytest

from openqueue.processes.loop import Loop
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_loop_that_pauses_for_long_is_roused_by_its_bell_and_by_a_stop():
    turns, bell = [], threading.Event()
    loop = Loop("slow", lambda: turns.append(True) or 0, pause=lambda: 3600.0, bell=bell)
    loop.start()
    eventually(lambda: len(turns) == 1)
    bell.set()
    eventually(lambda: len(turns) == 2)
    loop.stop()
    loop.join(5)
    assert not loop.is_alive()
