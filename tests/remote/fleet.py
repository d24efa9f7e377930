"""A live server and workers in shell, Node and Python, each a real process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openqueue.control import tokens
from openqueue.control.actor import Actor
from openqueue.models import Worker
from tests.crash.stage import SETTINGS, Gates, WorkerProcess
from tests.eventually import eventually
from tests.servers.installed import HOW_TO_GET_NODE, node_binary
from tests.servers.ports import answers, free_port

ROOT = Path(__file__).parent.parent.parent
WORKERS = ROOT / "example_project" / "workers"
QUEUE = "mixed"
GATED_SH = """#!/bin/sh
# Leave a trace, wait for the gate, leave another: what tests/app/crash_tasks.py does.
set -eu
read -r run
id=${run#*\\"run\\":\\"}; id=${id%%\\"*}
attempt=${run#*\\"attempt\\":}; attempt=${attempt%%,*}
trace() {
    printf '{"run": "%s", "attempt": %s, "what": "%s", "pid": %s, "at": 0}\\n' "$id" "$attempt" "$1" $$ >>GATES/effects
}
trace start
: >"GATES/started-$id-$attempt"
until [ -e "GATES/go-$id" ] || [ -e "GATES/go-$id-$attempt" ] || [ -e GATES/go-all ]; do sleep 0.05; done
trace end
printf '{"attempt": %s, "by": "sh"}' "$attempt"
"""
GATED_JS = """
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
const gates = "GATES";
export const tasks = {
    "mixed.node": {
        definition: { max_attempts: 3 },
        async run(payload, { run, attempt, signal }) {
            const { pid } = process;
            const trace = (what) =>
                appendFileSync(`${gates}/effects`, JSON.stringify({ run, attempt, what, pid, at: 0 }) + "\\n");
            trace("start");
            writeFileSync(`${gates}/started-${run}-${attempt}`, "");
            const names = [run, `${run}-${attempt}`, "all"];
            while (!names.some((name) => existsSync(`${gates}/go-${name}`))) {
                await sleep(20, undefined, { signal });
            }
            trace("end");
            return { attempt, by: "node" };
        },
    },
};
"""


class Remote:
    """One worker over HTTP, in a process group of its own."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                arguments, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self) -> Remote:
        """Wait until it has a lease."""
        eventually(
            lambda: Worker.objects.filter(pid=self.pid).exists() or self.process.poll() is not None, within=30
        )
        assert self.process.poll() is None, self.said()
        return self

    def kill(self) -> None:
        """End it with all that it started, as the kernel would when memory runs out."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, within: float = 20) -> int:
        """Ask it to end in order; return its exit code."""
        self.process.terminate()
        return self.process.wait(within)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """Leave nothing behind."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self.process.wait(10)


class Fleet:
    """Starts them, on one queue and this test's database."""

    def __init__(self, folder: Path, environment: Callable[..., dict[str, str]]) -> None:
        self.folder = folder
        self.gates = Gates(folder)
        # A shell starts a program for each heartbeat: on a busy machine that takes seconds.
        self.settings: dict[str, Any] = SETTINGS | {"LEASE": 8}
        self.surroundings = environment
        self.port = free_port()
        self.started: list[Any] = []
        self.token = ""

    def environment(self) -> dict[str, str]:
        return self.surroundings(
            OPENQUEUE_TEST_SETTINGS=json.dumps(self.settings), OPENQUEUE_TEST_GATES=str(self.folder)
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/openqueue"

    def serve(self) -> Remote:
        """Start the server, wherever it was before, and return when it answers."""
        if not self.token:
            self.token = tokens.create("workers", scopes=["worker"], actor=Actor(name="ada"))
        arguments = [sys.executable, "-m", "django", "runserver", "--noreload", f"127.0.0.1:{self.port}"]
        server = self.start(arguments, self.environment())
        eventually(lambda: answers(self.port) or server.process.poll() is not None, within=30)
        assert server.process.poll() is None, server.said()
        return server

    def start(self, arguments: list[str], environment: dict[str, str]) -> Remote:
        log = self.folder / f"{len(self.started)}.log"
        self.started.append(Remote(arguments, log, environment))
        return self.started[-1]

    def remote(self, *arguments: str) -> Remote:
        plain = {"PATH": os.environ["PATH"], "OPENQUEUE_URL": self.url, "OPENQUEUE_TOKEN": self.token}
        return self.start(list(arguments), plain)

    def shell(self, tasks: Path | None = None) -> Remote:
        """Start the worker in shell, by default with one task whose body waits at the gate."""
        tasks = tasks or self.folder / "tasks"
        if not tasks.exists():
            tasks.mkdir()
            body = tasks / "mixed.shell"
            body.write_text(GATED_SH.replace("GATES", str(self.folder)))
            body.chmod(0o700)
            (tasks / "mixed.shell.json").write_text('{"queue": "QUEUE", "max_attempts": 3}')
        return self.remote("sh", str(WORKERS / "shell" / "worker.sh"), QUEUE, str(tasks)).ready()

    def node(self, module: Path | None = None) -> Remote:
        """Start the worker in Node, by default with one task whose body waits at the gate."""
        module = module or self.folder / "tasks.mjs"
        if not module.exists():
            module.write_text(GATED_JS.replace("GATES", str(self.folder)))
        node = node_binary()
        assert node is not None, HOW_TO_GET_NODE
        return self.remote(node, str(WORKERS / "node" / "worker.mjs"), QUEUE, str(module)).ready()

    def python(self) -> WorkerProcess:
        """Start a Python worker on the same queue."""
        log = self.folder / f"{len(self.started)}.log"
        worker = WorkerProcess(self.environment(), log, "--queues", QUEUE, "--concurrency", "4")
        self.started.append(worker)
        return worker.ready()

    def close(self) -> None:
        """End all, the servers last."""
        for one in reversed(self.started):
            one.end()

    def report(self) -> str:
        """Return what they printed."""
        return "\n".join(f"--- {one.log.name}\n{one.said()}" for one in self.started)
