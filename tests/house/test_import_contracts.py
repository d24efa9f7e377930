"""The import contracts hold, and each of them turns red when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house import tree

# (the contract's id, where a line is added, what that line imports)
PLANTED = [
    ("layers", "openqueue/core/planted.py", "openqueue.processes"),
    ("layers", "openqueue/store/planted.py", "openqueue.core"),
    ("layers", "openqueue/store/planted.py", "openqueue.runtimes"),
    ("layers", "openqueue/planted.py", "openqueue.errors"),
    ("engine", "openqueue/core/planted.py", "openqueue_workbench"),
    ("faces", "openqueue_workbench/planted.py", "openqueue.store"),
    ("faces", "openqueue/api/planted.py", "openqueue.models"),
    ("layers", "openqueue/control/planted.py", "openqueue.api"),
    ("runtimes-and-runs", "openqueue/runtimes/planted.py", "openqueue.models"),
    ("runtimes", "openqueue/runtimes/memory.py", "openqueue.runtimes.database"),
    ("concrete-runtimes", "openqueue/core/planted.py", "openqueue.runtimes.memory"),
    ("processes", "openqueue/processes/sweeps/reaper.py", "openqueue.processes.worker.worker"),
    ("sweeps", "openqueue/processes/sweeps/reaper.py", "openqueue.processes.sweeps.announcer"),
    ("brokers", "openqueue/core/planted.py", "redis"),
    ("brokers", "openqueue/core/planted.py", "opentelemetry"),
    ("brokers", "openqueue/control/planted.py", "rest_framework"),
    ("brokers", "openqueue/control/planted.py", "drf_spectacular"),
    ("brokers", "openqueue/api/planted.py", "httpx"),
    ("client", "openqueue/client/planted.py", "django"),
    ("client", "openqueue/codec/text.py", "django.conf"),
    ("cycles", "openqueue/models/fields.py", "openqueue.models.run"),
]


def lint_imports(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_every_contract_is_kept():
    done = lint_imports(tree.ROOT)
    assert done.returncode == 0, done.stdout


def test_every_contract_has_a_violation_planted_below():
    settings = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())
    contracts = {contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]}
    assert contracts == {contract for contract, _, _ in PLANTED}


@pytest.mark.parametrize(("contract", "file", "imported"), PLANTED)
def test_a_planted_violation_turns_its_contract_red(contract: str, file: str, imported: str, tmp_path: Path):
    shutil.copy(tree.ROOT / "pyproject.toml", tmp_path)
    for package in ("openqueue", "openqueue_workbench"):
        ignored = shutil.ignore_patterns("__pycache__")  # where others write meanwhile
        shutil.copytree(tree.ROOT / package, tmp_path / package, ignore=ignored)
    with (tmp_path / file).open("a") as planted:
        planted.write(f"\nimport {imported}\n")
    done = lint_imports(tmp_path, "--contract", contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout, done.stdout + done.stderr
