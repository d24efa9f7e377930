"""The newcomer's first command, as a newcomer runs it: real processes, real requests, real signals."""

from __future__ import annotations

import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
TRAVELS = ("pyproject.toml", "README.md", "LICENSE", "openqueue", "openqueue_workbench", "example_project")

pytestmark = pytest.mark.crash


class Demo:
    """A demo that runs, what it has printed, and the processes it started."""

    def __init__(self, clone: Path, *arguments: str) -> None:
        self.port = free_port()
        left_out = {"DATABASE_URL", "SHOP_VAR_DIR", "PYTHONPATH", "VIRTUAL_ENV"}
        self.process = subprocess.Popen(
            [sys.executable, clone / "example_project" / "demo.py", f"--port={self.port}", *arguments],
            cwd=clone.parent,
            env={name: value for name, value in os.environ.items() if name not in left_out},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.family: list[psutil.Process] = []

    def read(self) -> None:
        for line in self.process.stdout:
            self.output += line

    def opened(self) -> Demo:
        """Wait until the shop is open and the customers are coming."""
        eventually(lambda: self.count() or self.process.poll() is not None, within=120)
        assert self.process.poll() is None, self.output
        return self

    def count(self) -> bool:
        if done := " ordered " in self.output:
            self.family = psutil.Process(self.process.pid).children(recursive=True)
        return done

    def child(self, command: str) -> psutil.Process:
        return next(child for child in self.family if command in child.cmdline())

    def ended(self, *, within: float = 20) -> int:
        """Return the exit code, having seen that nothing is left and nothing ugly was said."""
        code = self.process.wait(within)
        self.reader.join()
        eventually(lambda: not any(alive(process) for process in self.family))
        assert "Traceback" not in self.output
        return code

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A clone on which the demo has run once, and what it said: for all tests, in one process (tests/conftest.py)."""
    clone = tmp_path_factory.mktemp("demo") / "a clone"
    copy(clone)
    with running(clone, "--seconds=1") as demo:
        assert demo.ended(within=300) == 0, demo.output
    yield clone, demo.output
    shutil.rmtree(clone)


@pytest.fixture
def clone(first: tuple[Path, str]) -> Path:
    return first[0]


def test_the_first_start_says_what_it_does_and_ends_when_its_seconds_are_over(first):
    _, output = first
    said = [
        "making an environment in .venv-demo",
        "installing OpenQueue",
        "installed in",
        "password",
        "are over",
    ]
    positions = [output.index(words) for words in said]
    assert positions == sorted(positions)


def test_colours_are_for_people_only(first):
    assert "\033" not in first[1]


def test_the_second_start_begins_at_once_with_the_same_password(first):
    clone, output = first
    with running(clone, "--seconds=0.1") as demo:
        assert demo.ended(within=20) == 0
    assert "installing" not in demo.output
    assert password(demo.output) == password(output)


def test_orders_are_charged_invoiced_and_mailed_while_it_runs(clone):
    with running(clone) as demo:
        demo.opened()
        eventually(lambda: figure(demo, "E-mails sent") > 5, within=60)
        demo.process.send_signal(signal.SIGTERM)
        assert demo.ended() == 0
    var = clone / "example_project" / "var"
    assert [*var.glob("invoices/*/INV-*.html")]
    assert any(b"Your invoice INV-" in mail.read_bytes() for mail in var.glob("mail/*"))


def test_the_admin_opens_with_the_printed_password_and_shows_the_runs(clone):
    with running(clone) as demo:
        demo.opened()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        login = demo.url("/admin/login/?next=/admin/openqueue/run/")
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', read(browser, login))[1]
        form = {"csrfmiddlewaretoken": token, "username": "admin", "password": password(demo.output)}
        assert "shop.charge_payment" in read(browser, login, form)


def test_its_link_opens_the_workbench_signed_in_once(clone):
    with running(clone) as demo:
        demo.opened()
        link = re.search(r"the jobs +(\S+)", demo.output)[1]
        browser, another = (
            urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
            for _ in range(2)
        )
        assert "Needs attention" in read(browser, link)
        assert "csrfmiddlewaretoken" in read(another, link)  # the login's form
        assert "Needs attention" not in read(another, link)


def test_ctrl_c_ends_all_of_it(clone):
    with running(clone) as demo:
        demo.opened()
        assert len(demo.family) == 4
        os.killpg(demo.process.pid, signal.SIGINT)
        assert demo.ended() == 0
    with pytest.raises(urllib.error.URLError):
        read(urllib.request.build_opener(), demo.url("/"))


def test_a_taken_port_is_said_and_the_next_one_used(clone):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(clone, f"--port={port}", "--seconds=0.1") as demo:
            assert demo.ended() == 0
    assert re.search(rf"port {port} is taken, so the shop opens on \d+", demo.output)


@pytest.mark.parametrize("command", ["shop_traffic", "openqueue_worker", "runserver", "payment_provider.py"])
def test_a_process_that_dies_is_reported_and_ends_the_demo_with_its_code(clone, command):
    with running(clone) as demo:
        demo.opened().child(command).kill()
        assert demo.ended() == 128 + signal.SIGKILL
    assert re.search(r"(traffic|worker|web|provider) died with exit code 137", demo.output)


def test_a_demo_that_is_killed_leaves_no_process_behind(clone):
    with running(clone) as demo:
        demo.opened().process.kill()
        assert demo.ended() == -signal.SIGKILL


@pytest.mark.parametrize("word", ["making an environment", "installing"])
def test_ctrl_c_during_the_first_start_is_clean_too(tmp_path, word):
    copy(tmp_path / "clone")
    with running(tmp_path / "clone") as demo:
        eventually(lambda: word in demo.output, within=60)
        demo.family = eventually(lambda: psutil.Process(demo.process.pid).children(recursive=True))
        demo.process.send_signal(signal.SIGINT)
        assert demo.ended() == 130
    assert "run it again to go on" in demo.output


@contextmanager
def running(clone: Path, *arguments: str) -> Iterator[Demo]:
    demo = Demo(clone, "--no-open", *arguments)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(20)
        for process in filter(alive, demo.family):  # of a test that has failed
            process.kill()
        demo.reader.join()
        demo.process.stdout.close()


def copy(clone: Path) -> None:
    for name in TRAVELS:
        source, target = ROOT / name, clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copying: Callable[..., object] = shutil.copytree if source.is_dir() else shutil.copy
        ignore = {"ignore": shutil.ignore_patterns("var", "__pycache__")} if source.is_dir() else {}
        copying(source, target, **ignore)


def figure(demo: Demo, name: str) -> int:
    page = read(urllib.request.build_opener(), demo.url("/"))
    return int(re.search(rf"<dt>{name}</dt><dd>([\d,]+)", page)[1].replace(",", ""))


def read(browser: urllib.request.OpenerDirector, url: str, form: dict[str, str] | None = None) -> str:
    content = urllib.parse.urlencode(form).encode() if form else None
    with browser.open(url, content, timeout=20) as response:
        return response.read().decode()


def password(output: str) -> str:
    return re.search(r"user admin, password (\S+)", output)[1]


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
