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
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers.installed import (  # noqa: E402 -- the line above makes it importable
    mariadb_version,
    postgresql_version,
)
from tests.servers.supply import apt, bring  # noqa: E402

HOME = ROOT / ".venv-tests"
TOOLS = "tox>=4.25 tox-uv>=1.25"
ONCE = ("lint", "types", "imports", "migrations", "house", "package", "docs")
DJANGO = {"3.11": "5.2", "3.12": "6.0", "3.13": "6.1"}
CONTRACTS = ("memory", "rabbitmq", "kafka", "redis", "broker")
"""Runtimes whose contract takes long; which database is behind one, and which Python, changes little."""
TIME_LIMIT = 55 * 60
NO_PYTHON = "no Python"
HEAVY = {"crash": "crash", "browser": "a browser", "load": "scale and bench"}
"""Kinds of slow cells. Crash and browser tests mostly wait, so they run beside the quick cells; load runs alone."""
running: set[subprocess.Popen[bytes]] = set()
stopping = threading.Event()
CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}


@dataclass
class Cell:
    """One environment of tox.ini and what came of it."""

    name: str
    missing: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    left_out: str = ""
    """Marks of tests that other cells run for it."""
    digest: list[str] = field(default_factory=list)
    """What each failed test said first, a line each."""
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
    servers = bring([cell.name for cell in cells], say)
    for cell in cells:
        cell.missing = cell.missing or next((how for name, how in servers.items() if name in cell.name), "")
    tox = bring_tox()
    folders = [str(Path(python).parent) for python in pythons.values()]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    os.environ["UV_PYTHON_DOWNLOADS"] = "never"
    os.environ["OPENQUEUE_TEST_PYTHON"] = f"python{max(pythons, default='3')}"
    began = time.monotonic()
    here = [cell for cell in cells if not cell.missing]
    if len(here) > 1:
        say("making the cells")
        making = [*tox, "--notest", "-e", ",".join(cell.name for cell in here)]
        if finish(making, HOME / "output" / "cells.log") == 0:
            tox.append("--skip-pkg-install")  # lanes must not make the package at the same time
    beside = [cell for cell in here if cell.name.endswith(("-crash", "-browser"))]
    alone = [cell for cell in here if cell.name.endswith("-load")]
    first = [cell for cell in here if cell not in beside and cell not in alone]
    for cell in here:
        cell.left_out = elsewhere(cell, here)
    for lanes in ((first, beside), (alone,)):
        run_lanes(lanes, lambda cell: run(cell, tox, options.arguments))
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
        missing = "" if version in versions else f"{NO_PYTHON} {version} here"
        # The oldest and the newest run on both of these; the one in between has the third database to itself.
        databases = ("sqlite", "postgresql") if version in {versions[0], versions[-1]} else ("mariadb",)
        cells += [Cell(f"{name}-{database}", missing) for database in databases]
    # The longest first: its lane is the one that the other waits for.
    heavy = [(name, kind) for kind in HEAVY for name in ("postgresql", "mariadb", "sqlite")]
    return cells + [
        Cell(f"{newest}-{name}-{kind}") for name, kind in heavy if kind != "browser" or name == "postgresql"
    ]


def elsewhere(cell: Cell, cells: list[Cell]) -> str:
    """Return the marks of the tests that other cells run for this quick one, with commas.

    The newest Python on PostgreSQL runs everything. Of the rest, each runs what it adds: the contract of one runtime,
    what concerns its database unless another has it too, and what concerns its Python unless another has that too.
    """
    quick = [one.name for one in cells if one.name.startswith("py") and one.name.count("-") == 2]
    full = next((name for name in quick if name.endswith("-postgresql")), None)
    if full is None or cell.name == full or cell.name not in quick:
        return ""
    python, _, database = cell.name.split("-")
    others = [name for name in quick if name != full]
    left = {"once"}
    left |= {f"contract:{name}" for name in CONTRACTS} - {
        f"contract:{name}" for name in CONTRACTS[others.index(cell.name) :: len(others)]
    }
    same_database = [name for name in quick if name.endswith(f"-{database}")]
    if full in same_database or cell.name != same_database[-1]:
        left.add("each_database")
    if full in same_database and any(one != cell.name and one.startswith(f"{python}-") for one in quick):
        left.add("either")
    return ",".join(sorted(left))


def bring_tox() -> list[str]:
    """Make the command's own environment and return the way to call tox; without uv, pip does the work."""
    python, stamp = HOME / "bin" / "python", HOME / "tools.txt"
    if not answers(python) or not stamp.exists() or stamp.read_text() != TOOLS:
        say(f"making {HOME.name}")
        if subprocess.run([sys.executable, "-m", "venv", HOME], check=False).returncode:
            apt("python3-venv", say=say)
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


def run_lanes(lanes: tuple[list[Cell], ...], one: Callable[[Cell], None]) -> None:
    """Run the cells of each lane one by one, the lanes side by side. Who is through takes the last of the others."""
    left = [list(lane) for lane in lanes]
    taking = threading.Lock()

    def take(own: list[Cell]) -> Cell | None:
        with taking:
            if own:
                return own.pop(0)
            return next((other.pop() for other in left if other), None)

    def work(own: list[Cell]) -> None:
        while not stopping.is_set() and (cell := take(own)) is not None:
            one(cell)

    threads = [threading.Thread(target=work, args=[lane]) for lane in left]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        stopping.set()
        for process in [*running]:
            end(process)
        raise


def run(cell: Cell, tox: list[str], arguments: list[str]) -> None:
    """Run one cell and read what its tests said."""
    report = cell.output.with_suffix(".xml")
    report.unlink(missing_ok=True)
    began = time.monotonic()
    command = [*tox, "-e", cell.name, *(["--", *arguments] if arguments else [])]
    more = {"OPENQUEUE_TEST_REPORT": str(report), "OPENQUEUE_TEST_ELSEWHERE": cell.left_out}
    code = finish(command, cell.output, more)
    if stopping.is_set():
        return
    cell.seconds = time.monotonic() - began
    if report.exists():
        for suite in ElementTree.parse(report).iter("testsuite"):
            counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
            cell.failed += counts["failures"] + counts["errors"]
            cell.skipped += counts["skipped"]
            cell.passed += counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
            cell.digest += digest(suite)
    elif code == 0 and cell.name in ONCE:
        cell.passed = 1
    if cell.failed == 0 and (code != 0 or cell.passed == 0):
        cell.failed = 1  # it broke before, beside or without a test
    counted = f"{cell.passed:5} passed {cell.failed:4} failed"
    say(f"{cell.name:34} {counted} {cell.seconds:7.1f} s" + ("  FAILED" if cell.failed else ""))
    if cell.left_out:
        say(f"  left to other cells: {cell.left_out.replace(',', ', ')}")
    said = cell.output.read_text(errors="replace")
    for again in sorted({line for line in said.splitlines() if line.startswith("RERUN ")}):
        say(f"  tried again: {again.removeprefix('RERUN ')}")
    if cell.failed:
        print(said[-60_000:], flush=True)


def digest(suite: ElementTree.Element) -> Iterator[str]:
    """Yield `file::test: what it said first` for each test that failed."""
    for case in suite.iter("testcase"):
        for wrong in (*case.iter("failure"), *case.iter("error")):
            said = " ".join((wrong.get("message") or "").split())
            yield f"{case.get('classname')}::{case.get('name')}: {said}"[:400]


def finish(command: list[str], output: Path, more: Mapping[str, str] = {}) -> int:
    """Run to its end, or to the time limit, in a group of its own, so that nothing of it stays behind."""
    with output.open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **more}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        running.add(process)
        if stopping.is_set():
            end(process)
        try:
            return process.wait(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            end(process)
            log.write(f"\nnot finished after {TIME_LIMIT} seconds, ended\n")
            return 1
        except KeyboardInterrupt:
            end(process)
            raise
        finally:
            running.discard(process)


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
    failed += sum(CI and not cell.missing.startswith(NO_PYTHON) for cell in missing)
    failed += passed == 0 and failed == 0
    red = [cell.name for cell in ran if cell.failed]
    for cell in ran:  # once more, and together: what was printed of a cell is long, and others came after it
        for line in cell.digest:
            say(f"{cell.name}: {line}")
    sentence = [f"Ran {'; '.join(described(ran, pythons)) or 'nothing'}"]
    shares = [cell.name for cell in ran if cell.left_out]
    sentence += [f"only what others do not run: {', '.join(shares)}"] if shares else []
    sentence += [f"not run: {', '.join(cell.name for cell in missing)}"] if missing else []
    sentence += [f"red: {', '.join(red)}"] if red else []
    say(f"{' -- '.join(sentence)} -- {passed} passed, {failed} failed in {seconds:.0f} s.")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def described(cells: list[Cell], pythons: dict[str, str]) -> Iterator[str]:
    """Yield `Python 3.13 x Django 6.1 x SQLite and PostgreSQL 15.18` for each, then what ran once."""
    names = {
        "sqlite": "SQLite",
        "postgresql": f"PostgreSQL {postgresql_version()}",
        "mariadb": f"MariaDB {mariadb_version()}",
    }
    for version, django in DJANGO.items():
        prefix = f"py{version}-django{django}".replace(".", "")
        kinds = [cell.name.removeprefix(prefix + "-") for cell in cells if cell.name.startswith(prefix)]
        if kinds:
            databases = [
                " with ".join([label, *(told for heavy, told in HEAVY.items() if f"{name}-{heavy}" in kinds)])
                for name, label in names.items()
                if any(kind.split("-")[0] == name for kind in kinds)
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
