#!/usr/bin/env python3
"""Leaf & Pot, a shop on OpenQueue, in one terminal: `python3 example_project/demo.py`, and Ctrl-C ends it.

The first start makes an environment of its own (.venv-demo) and installs OpenQueue there; the next begin at
once. Then run a payment provider that likes to fail, the web server, a worker, and customers who buy tea.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import signal
import socket
import sys
import time
import webbrowser
from pathlib import Path

from terminal import Child, Terminal

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENT = ROOT / ".venv-demo"
PYTHON = ENVIRONMENT / "bin" / "python"
PYPROJECT = ROOT / "pyproject.toml"
STAMP = ENVIRONMENT / "installed.json"  # what stands in the environment, written when it is complete
OLDEST_PYTHON = (3, 11)
PATIENCE = 10.0  # seconds that a process may take to end before it is killed
LONGEST_OPENING = 60.0  # seconds until the first page
REMIND_EVERY = 30.0  # seconds
TRACING = ("opentelemetry-sdk", "opentelemetry-instrumentation-django")


class Ended(Exception):
    """The demo is over; `code` is its exit code and `why` the last thing it says."""

    def __init__(self, why: str, *, code: int = 0) -> None:
        super().__init__(why)
        self.why, self.code = why, code


class Demo:
    """The way from a fresh clone to a running shop, and back to silence."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.terminal = Terminal()
        self.children: list[Child] = []
        self.signals = 0
        self.environ = os.environ | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DJANGO_RUNSERVER_HIDE_WARNING": "true",
            "OPENQUEUE_DEMO_TRACING": "1" if options.tracing else "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self) -> int:
        """Do it all; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.heard)
        try:
            self.install()
            link, password = self.prepare()
            port = self.open_shop()
            url = f"http://127.0.0.1:{port}/"
            self.welcome(url, link=link, password=password)
            self.watch(url, until=time.monotonic() + self.options.seconds if self.options.seconds else None)
        except Ended as end:
            self.stop()
            self.say(end.why)
            return end.code
        finally:
            self.stop()

    def heard(self, number: int, frame: object) -> None:
        """Count the signals: the first asks, the second insists."""
        self.signals += 1

    def say(self, line: str) -> None:
        self.terminal.say("demo", line)

    def tick(self) -> None:
        """Let a moment pass; end when asked to, or when a process that should live has died."""
        time.sleep(0.05)
        if self.signals or self.terminal.gone:
            raise Ended("stopped, nothing is left running")
        for child in self.children:
            if child.code is not None:
                raise Ended(f"{child.name} died with exit code {child.code}", code=child.code or 1)

    # From a fresh clone to a database

    def install(self) -> None:
        """Bring the environment to what pyproject.toml asks for; nothing to do when it has not changed."""
        wanted = requirements(tracing=self.options.tracing)
        state = {"pyproject": hashlib.sha256(PYPROJECT.read_bytes()).hexdigest(), "python": sys.version}
        have = json.loads(STAMP.read_text()) if STAMP.exists() and PYTHON.exists() else {}
        if have.items() >= state.items() and {*wanted} <= {*have["requirements"]}:
            return
        begun = time.monotonic()
        if have.get("python") != sys.version:
            self.say(f"first start: making an environment in {ENVIRONMENT.name} (this takes a minute, once)")
            make = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
            self.finish("setup", make, remedy="On Debian: apt install python3-venv")
        self.say("installing OpenQueue and what it needs")
        STAMP.unlink(missing_ok=True)
        pip = [str(PYTHON), "-m", "pip", "install", "--progress-bar", "off", "--editable", *wanted]
        self.finish("setup", pip, remedy="Is there a way to the package index? Run it again to go on.")
        STAMP.write_text(json.dumps(state | {"requirements": wanted}))
        self.say(f"installed in {time.monotonic() - begun:.0f} s")

    def prepare(self) -> tuple[str, str]:
        """Migrate, fill the catalogue, make the admin; return a link that signs it in once, and its password."""
        self.say("preparing the database")
        lines = self.finish(
            "setup", self.manage("shop_setup"), remedy="Delete example_project/var to begin anew."
        )
        link, password = (line.rpartition(": ")[2] for line in lines[-2:])
        return link, password

    def finish(self, name: str, command: list[str], *, remedy: str) -> list[str]:
        """Run a command to its end, watching for Ctrl-C; return what it printed."""
        child = Child(name, command, environ=self.environ, terminal=None)
        said = 0
        try:
            while child.code is None:
                time.sleep(0.05)
                if self.signals or self.terminal.gone:
                    raise Ended("stopped before the shop was ready; run it again to go on", code=130)
                for line in child.lines[said:]:
                    said += 1
                    if line.startswith(("Collecting ", "Installing ")):
                        self.terminal.say(name, line)
        finally:
            child.ask_to_stop()
            child.end(deadline=time.monotonic() + PATIENCE)
        if child.code:
            for line in child.lines[-25:]:
                self.terminal.say(name, line)
            raise Ended(f"`{' '.join(command[1:4])} ...` failed. {remedy}", code=child.code)
        return child.lines

    # The processes

    def open_shop(self) -> int:
        """Start everything and wait until the first page is served; return the port."""
        ledger = "var/provider-ledger.jsonl"
        provider = self.start(
            "provider", str(PYTHON), "payment_provider.py", "--port=0", f"--ledger={ledger}"
        )
        while not provider.lines:
            self.tick()
        self.environ["SHOP_PROVIDER_URL"] = provider.lines[0].split()[-1]
        port = free_port(self.options.port)
        if port != self.options.port:
            self.say(f"port {self.options.port} is taken, so the shop opens on {port}")
        self.start("web", *self.manage("runserver", "--noreload", f"127.0.0.1:{port}"))
        self.environ["SHOP_DEBUG"] = "0"  # DEBUG keeps every query in memory: for a page, not for a worker
        self.start("worker", *self.manage("openqueue_worker"))
        deadline = time.monotonic() + LONGEST_OPENING
        while not answers(port):
            self.tick()
            if time.monotonic() > deadline:
                raise Ended("the shop's first page does not come; see what web says above", code=1)
        self.start("traffic", *self.manage("shop_traffic"))
        return port

    def start(self, name: str, *command: str) -> Child:
        child = Child(name, [*command], environ=self.environ, terminal=self.terminal)
        self.children.append(child)
        return child

    def manage(self, *arguments: str) -> list[str]:
        return [str(PYTHON), "manage.py", *arguments]

    def welcome(self, url: str, *, link: str, password: str) -> None:
        """Say where to look."""
        self.say("")
        self.say(f"the shop    {url}")
        self.say(f"the jobs    {url.rstrip('/')}{link}")
        self.say("            signs you in once, within five minutes; after that:")
        self.say(f"the admin   {url}admin/   user admin, password {password}")
        self.say("on disk     example_project/var: invoices, e-mails, the database")
        self.say("status      .venv-demo/bin/python example_project/manage.py openqueue_status")
        self.say("the end     Ctrl-C")
        self.say("")
        if not self.options.no_open and sys.stdout.isatty() and has_desktop():
            webbrowser.open(url.rstrip("/") + link)

    def watch(self, url: str, *, until: float | None) -> None:
        """Look on until it is over."""
        reminder = time.monotonic() + REMIND_EVERY
        while until is None or time.monotonic() < until:
            self.tick()
            if time.monotonic() > reminder:
                self.say(f"the shop is open at {url}   Ctrl-C closes it")
                reminder += REMIND_EVERY
        raise Ended(f"{self.options.seconds:g} seconds are over, nothing is left running")

    def stop(self) -> None:
        """End every process: first those who make work, then the worker, last the provider it talks to."""
        if not self.children:
            return
        self.say("closing the shop")
        asked, deadline = self.signals, time.monotonic() + PATIENCE
        provider, *others = self.children
        self.children = []
        for child in others[::-1]:
            child.ask_to_stop()
        while (
            any(child.code is None for child in others)
            and time.monotonic() < deadline
            and self.signals <= asked
        ):
            time.sleep(0.02)
        if self.signals > asked:
            deadline = 0  # told twice: at once
        for child in others:
            child.end(deadline=deadline)
        provider.ask_to_stop()
        provider.end(deadline=min(deadline, time.monotonic() + 2))


def requirements(*, tracing: bool) -> list[str]:
    """Return what pip has to install: the project, and what this start needs beside it."""
    driver = ["psycopg[binary]"] if os.environ.get("DATABASE_URL") else []
    return [f"{ROOT}[api,workbench]", *driver, *(TRACING if tracing else ())]


def free_port(first: int) -> int:
    """Return the first port from `first` on that nobody listens on."""
    for port in range(first, min(first + 200, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Ended(f"no free port from {first} on; choose another with --port", code=1)


def answers(port: int) -> bool:
    """Tell whether the shop's first page is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def has_desktop() -> bool:
    """Tell whether a browser could open a window: a text browser would take the terminal away."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main() -> int:
    """Read the command line and run the demo."""
    if sys.version_info < OLDEST_PYTHON:
        print("The demo needs Python 3.11 or later; this is", sys.version.split()[0])
        return 1
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="of the web server (default: 8000, or the next free)"
    )
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument("--seconds", type=float, help="stop by itself after so many seconds of an open shop")
    parser.add_argument("--tracing", action="store_true", help="print a line for every OpenTelemetry span")
    return Demo(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
