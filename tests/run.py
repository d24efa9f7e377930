"""The tests command: brings what is missing, runs every cell this machine can run, and says what ran.

    python3 tests/run.py                  everything
    python3 tests/run.py --quick          the newest Python on SQLite, nothing else
    python3 tests/run.py --only lint      one cell of tox.ini (may be given more than once)

It needs Python 3.11 or newer with its venv module, and a package index. Cells are defined in tox.ini.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers.installed import (  # noqa: E402 -- the line above makes it importable
    HOW_TO_GET_POSTGRESQL,
    postgresql_binaries,
    postgresql_version,
)

HOME = ROOT / ".venv-tests"
TOOLS = "tox>=4.25 tox-uv>=1.25"
ONCE = ("lint", "types", "imports", "migrations", "house", "package", "docs")
DJANGO = {"3.11": "5.2", "3.12": "6.0", "3.13": "6.1"}
TIME_LIMIT = 20 * 60
CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# Debian's package would make and start a server of its own on the usual port, which nobody asked for.
APT = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
case "$*" in *postgresql*)
    apt-get install -y -q --no-install-recommends postgresql-common
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/openqueue-tests.conf
    trap 'rm -f /etc/postgresql-common/createcluster.d/openqueue-tests.conf' EXIT
esac
apt-get install -y -q --no-install-recommends "$@"
"""


@dataclass
class Cell:
    """One environment of tox.ini and what came of it."""

    name: str
    missing: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    output: Path = field(init=False)

    def __post_init__(self) -> None:
        self.output = HOME / "output" / f"{self.name}.log"


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    (HOME / "output").mkdir(parents=True, exist_ok=True)
    pythons = interpreters()
    say(f"interpreters: {', '.join(pythons) or 'none between 3.11 and 3.13'}")
    cells = chosen(options, list(pythons))
    if any("postgresql" in cell.name for cell in cells):
        bring_postgresql(cells)
    tox = bring_tox()
    folders = [str(Path(python).parent) for python in pythons.values()]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    os.environ["UV_PYTHON_DOWNLOADS"] = "never"
    os.environ["OPENQUEUE_TEST_PYTHON"] = f"python{max(pythons, default='3')}"
    began = time.monotonic()
    for cell in cells:
        if not cell.missing:
            run(cell, tox, options.arguments)
    return close(cells, pythons, time.monotonic() - began)


def parse() -> argparse.Namespace:
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--quick", action="store_true", help="the newest Python on SQLite, nothing else")
    parser.add_argument("--only", action="append", metavar="CELL", help="run this cell of tox.ini")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="handed to pytest")
    return parser.parse_args()


def interpreters() -> dict[str, str]:
    """Return version -> path of each Python that really runs; a shim on PATH may not."""
    folders = [Path(sys.executable).parent, *(Path(part) for part in os.get_exec_path())]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"), reverse=True)
    found = {}
    for version in DJANGO:
        for folder in folders:
            python = folder / f"python{version}"
            if version not in found and python.is_file() and HOME not in python.parents and answers(python):
                found[version] = str(python)
    return found


def answers(python: Path) -> bool:
    try:
        command = [python, "-c", "import sqlite3, ssl"]
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def chosen(options: argparse.Namespace, versions: list[str]) -> list[Cell]:
    if options.only:
        return [Cell(name) for name in options.only]
    matrix = {version: f"py{version}-django{django}".replace(".", "") for version, django in DJANGO.items()}
    if not versions:
        return []
    newest = matrix[versions[-1]]
    if options.quick:
        return [Cell(f"{newest}-sqlite")]
    cells = [Cell(name) for name in ONCE]
    for version, name in reversed(matrix.items()):
        missing = "" if version in versions else f"no Python {version} here"
        # In between, one database is enough: the oldest and the newest run on both.
        databases = ("sqlite", "postgresql") if version in {versions[0], versions[-1]} else ("postgresql",)
        cells += [Cell(f"{name}-{database}", missing) for database in databases]
    return cells + [Cell(f"{newest}-{database}-heavy") for database in ("sqlite", "postgresql")]


def bring_postgresql(cells: list[Cell]) -> None:
    if postgresql_binaries() is None:
        apt("postgresql")
    if postgresql_binaries() is None:
        for cell in cells:
            if "postgresql" in cell.name:
                cell.missing = HOW_TO_GET_POSTGRESQL


def bring_tox() -> list[str]:
    """Make the command's own environment and return the way to call tox; without uv, pip does the work."""
    python, stamp = HOME / "bin" / "python", HOME / "tools.txt"
    if not answers(python) or not stamp.exists() or stamp.read_text() != TOOLS:
        say(f"making {HOME.name}")
        if subprocess.run([sys.executable, "-m", "venv", HOME], check=False).returncode:
            apt("python3-venv")
            subprocess.run([sys.executable, "-m", "venv", "--clear", HOME], check=True)
            (HOME / "output").mkdir()
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "tox>=4.25"], check=True)
        if uv_works(python) and not subprocess.run([*pip, "tox-uv>=1.25"], check=False).returncode:
            say("uv fills the cells")
        stamp.write_text(TOOLS)
    return [str(python), "-m", "tox", "run", "--workdir", str(HOME / "cells")]


def uv_works(python: Path) -> bool:
    """Try uv for real: it finds its way to the index by other settings than pip, and may not get there."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
    if subprocess.run([python, "-m", "pip", "install", "-q", "uv>=0.7"], **quiet).returncode:
        return False
    ask = [python, "-m", "uv", "pip", "install", "--dry-run", "--reinstall", "--python", python, "hatchling"]
    return subprocess.run(ask, **quiet).returncode == 0


def apt(package: str) -> None:
    root = os.geteuid() == 0
    sudo = ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]
    say(f"installing {package} with apt{'' if root else ' through sudo'}")
    command = [*([] if root else sudo), "sh", "-c", APT, "apt", package]
    try:
        stdin = None if sys.stdin.isatty() else subprocess.DEVNULL
        installed = subprocess.run(command, stdin=stdin, check=False)
    except FileNotFoundError:
        say(f"cannot: there is no {command[0]} here")
        return
    if installed.returncode:
        say(f"could not install it; as root: apt-get install {package}")


def run(cell: Cell, tox: list[str], arguments: list[str]) -> None:
    report = cell.output.with_suffix(".xml")
    report.unlink(missing_ok=True)
    began = time.monotonic()
    command = [*tox, "-e", cell.name, *(["--", *arguments] if arguments else [])]
    code = finish(command, cell.output, {**os.environ, "OPENQUEUE_TEST_REPORT": str(report)})
    cell.seconds = time.monotonic() - began
    if report.exists():
        for suite in ElementTree.parse(report).iter("testsuite"):
            counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
            cell.failed += counts["failures"] + counts["errors"]
            cell.skipped += counts["skipped"]
            cell.passed += counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    elif code == 0 and cell.name in ONCE:
        cell.passed = 1
    if cell.failed == 0 and (code != 0 or cell.passed == 0):
        cell.failed = 1  # it broke before, beside or without a test
    counted = f"{cell.passed:5} passed {cell.failed:4} failed"
    say(f"{cell.name:34} {counted} {cell.seconds:7.1f} s" + ("  FAILED" if cell.failed else ""))
    if cell.failed:
        print(cell.output.read_text(errors="replace")[-60_000:], flush=True)


def finish(command: list[str], output: Path, environment: dict[str, str]) -> int:
    """Run to its end, or to the time limit, in a group of its own, so that nothing of it stays behind."""
    with output.open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            end(process)
            log.write(f"\nnot finished after {TIME_LIMIT} seconds, ended\n")
            return 1
        except KeyboardInterrupt:
            end(process)
            raise


def end(process: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
            process.wait(timeout=30)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
        return


def close(cells: list[Cell], pythons: dict[str, str], seconds: float) -> int:
    ran = [cell for cell in cells if not cell.missing]
    passed, failed = sum(cell.passed for cell in ran), sum(cell.failed for cell in ran)
    missing = [cell for cell in cells if cell.missing]
    for cell in missing:
        say(f"{cell.name:34} not run: {cell.missing}")
    # A missing interpreter is the machine's choice; a missing server would let CI be green for nothing.
    failed += sum(CI and cell.missing == HOW_TO_GET_POSTGRESQL for cell in missing)
    failed += passed == 0 and failed == 0
    red = [cell.name for cell in ran if cell.failed]
    sentence = [f"Ran {'; '.join(described(ran, pythons)) or 'nothing'}"]
    sentence += [f"not run: {', '.join(cell.name for cell in missing)}"] if missing else []
    sentence += [f"red: {', '.join(red)}"] if red else []
    say(f"{' -- '.join(sentence)} -- {passed} passed, {failed} failed in {seconds:.0f} s.")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def described(cells: list[Cell], pythons: dict[str, str]) -> Iterator[str]:
    """Yield `Python 3.13 x Django 6.1 x SQLite and PostgreSQL 15.18` for each, then what ran once."""
    names = {"sqlite": "SQLite", "postgresql": f"PostgreSQL {postgresql_version()}"}
    for version, django in DJANGO.items():
        prefix = f"py{version}-django{django}".replace(".", "")
        kinds = [cell.name.removeprefix(prefix + "-") for cell in cells if cell.name.startswith(prefix)]
        if kinds:
            databases = [
                label + (" with crash, scale and bench" if f"{kind}-heavy" in kinds else "")
                for kind, label in names.items()
                if kind in kinds or f"{kind}-heavy" in kinds
            ]
            yield f"Python {version} x Django {django} x {' and '.join(databases)}"
    once = [cell.name for cell in cells if not cell.name.startswith("py")]
    if once:
        yield ", ".join(once)


def say(sentence: str) -> None:
    print(f"tests: {sentence}", flush=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 -- whoever starts this may have an older one
        sys.exit("tests: this needs Python 3.11 or newer, for example: python3.11 tests/run.py")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("tests: stopped; nothing was left running")
    except subprocess.CalledProcessError as error:
        sys.exit(f"tests: {error}")
