"""The conformance script against a live server, against workers that keep the protocol, and against what does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openqueue.control import tokens
from openqueue.control.actor import Actor
from openqueue.testing import worker_protocol
from tests.remote.fleet import QUEUE, ROOT, Fleet

pytestmark = [pytest.mark.crash, pytest.mark.once]
SHELL = {
    "conformance.echo": (
        '{"queue": "QUEUE"}',
        """#!/bin/sh
read -r run
echo echo >&2
payload=${run#*\\"payload\\":}
printf '%s' "${payload%,\\"meta\\":*}"
""",
    ),
    "conformance.fail": (
        '{"queue": "QUEUE", "max_attempts": 2, "backoff": 0}',
        "#!/bin/sh\necho no >&2\nexit 1\n",
    ),
    "conformance.wait": (
        '{"queue": "QUEUE"}',
        "#!/bin/sh\nexec sleep 300\n",
    ),
}
NODE = """
import { setTimeout as sleep } from "node:timers/promises";
export const tasks = {
    "conformance.echo": {
        definition: {},
        async run(payload, context) {
            context.progress(50);
            context.log("echo");
            return payload;
        },
    },
    "conformance.fail": {
        definition: { max_attempts: 2, backoff: 0 },
        async run() {
            throw new TypeError("no");
        },
    },
    "conformance.wait": {
        definition: {},
        run: ({ seconds }, { signal }) => sleep(seconds * 1000, undefined, { signal }),
    },
};
"""


def script(fleet: Fleet, *arguments: str) -> str:
    """Run it as whoever implements a server or a worker does; return what it said. No Django is set up there."""
    token = tokens.create("checker", scopes=["worker", "trigger", "read", "control"], actor=Actor(name="ada"))
    done = subprocess.run(
        [sys.executable, "-m", "openqueue.testing.worker_protocol", "--url", fleet.url, "--token", token, *arguments],
        cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + fleet.report()
    return done.stdout


def test_the_server_keeps_the_protocol(fleet: Fleet):
    fleet.serve()
    said = script(fleet)
    assert said.count("ok ") == len(worker_protocol.SERVER)


def test_the_worker_in_shell_keeps_the_protocol(fleet: Fleet, tmp_path: Path):
    tasks = tmp_path / "conformance"
    tasks.mkdir()
    for name, (definition, body) in SHELL.items():
        (tasks / f"{name}.json").write_text(definition)
        (tasks / name).write_text(body)
        (tasks / name).chmod(0o700)
    fleet.serve()
    fleet.shell(tasks)
    fleet.python()  # does the sweeps: retries fall due
    assert script(fleet, "--worker", QUEUE).count("ok ") == len(worker_protocol.WORKER)


def test_the_worker_in_node_keeps_the_protocol(fleet: Fleet, tmp_path: Path):
    module = tmp_path / "conformance.mjs"
    module.write_text(NODE)
    fleet.serve()
    fleet.node(module)
    fleet.python()
    assert script(fleet, "--worker", QUEUE).count("ok ") == len(worker_protocol.WORKER)


def test_a_worker_that_breaks_it_is_found_out(fleet: Fleet, tmp_path: Path, monkeypatch: Any, capsys: Any):
    module = tmp_path / "conformance.mjs"
    module.write_text(
        NODE.replace("return payload;", "return { ...payload, more: 1 };").replace("max_attempts: 2, ", "")
    )
    fleet.serve()
    fleet.node(module)
    fleet.python()
    monkeypatch.setattr(worker_protocol, "PATIENCE", 10.0)
    token = tokens.create("checker", scopes=["trigger", "read", "control"], actor=Actor(name="ada"))
    assert worker_protocol.main(["--url", fleet.url, "--token", token, "--worker", QUEUE]) == 1
    said = capsys.readouterr().out
    failed = {line.removeprefix("FAILED  ") for line in said.splitlines() if line.startswith("FAILED")}
    assert failed == {"it returns what it was given", "it fails and tries again", "it does many"}, said
