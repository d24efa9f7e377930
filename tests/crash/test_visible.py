"""What a worker shows to probes, to systemd and to `ps`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from openqueue.models import Worker
from openqueue.processes.pulse import STALE
from tests.app.crash_tasks import gated
from tests.crash.stage import Gates, Stage
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.crash


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.bind(str(path))
        self.end.setblocking(False)
        self.said: list[str] = []

    def hears(self, words: str, *, times: int = 1) -> None:
        """Wait until these words were said so often."""

        def heard() -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.said += self.end.recv(4096).decode().split("\n")
            return self.said.count(words) >= times

        eventually(heard, within=60)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    with systemd.end:
        yield systemd


def probe(stage: Stage, path: Path) -> int:
    command = [sys.executable, "-m", "django", "openqueue_worker", "--healthy", str(path)]
    return subprocess.run(
        command, env=stage.surroundings(), capture_output=True, timeout=60, check=False
    ).returncode


@pytest.mark.sqlite_too
@pytest.mark.parametrize("processes", [1, 2])
def test_systemd_hears_when_it_is_ready_that_it_lives_and_that_it_stops(
    stage: Stage, systemd: Systemd, processes: int
):
    worker = stage.worker("--processes", str(processes), "--concurrency", "3", wait=False)
    systemd.hears("READY=1")
    assert Worker.objects.filter(state="running").exists()
    systemd.hears(f"STATUS=0/{3 * processes} busy")
    systemd.hears("WATCHDOG=1", times=3)
    assert "STOPPING=1" not in systemd.said
    worker.send(signal.SIGTERM)
    systemd.hears("STOPPING=1")
    assert worker.ends(within=20) == 0


@pytest.mark.postgresql
@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_health_file_is_touched_while_the_lease_is_sure_and_not_otherwise(
    stage: Stage, tmp_path: Path, proxy: Proxy, processes: str
):
    file = tmp_path / "health"
    worker = stage.worker("--health-file", str(file), "--processes", processes, wait=False, port=proxy.port)
    eventually(file.exists, within=60)
    before = file.stat().st_mtime
    eventually(lambda: file.stat().st_mtime > before)
    assert probe(stage, file) == 0
    proxy.refuse()
    eventually(lambda: time.time() - file.stat().st_mtime > 3)
    proxy.pass_on()
    eventually(lambda: time.time() - file.stat().st_mtime < 1)
    worker.send(signal.SIGTERM)
    assert worker.ends(within=20) == 0
    assert not file.exists()


@pytest.mark.sqlite_too
def test_the_probe_tells_a_fresh_file_from_an_old_one_and_none(stage: Stage, tmp_path: Path):
    file = tmp_path / "health"
    assert probe(stage, file) == 1
    file.touch()
    assert probe(stage, file) == 0
    old = time.time() - STALE - 1
    os.utime(file, (old, old))
    assert probe(stage, file) == 1


def test_ps_shows_the_role_the_queues_and_the_slots(stage: Stage, gates: Gates):
    worker = stage.worker("--queues", "default,mail", "--processes", "2", "--concurrency", "3", wait=False)
    eventually(lambda: Worker.objects.filter(state="running").count() == 2, within=60)
    gates.wait_inside(gated.trigger())

    def titles() -> list[str]:
        seen = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children()]
        return [" ".join(one.cmdline()).strip() for one in seen]

    served = "[default,mail]"
    eventually(lambda: titles()[0] == f"openqueue supervisor {served} 1/6 busy")
    assert sorted(titles()[1:]) == [f"openqueue worker {served} {n}/3 busy" for n in (0, 1)]
    gates.open()
