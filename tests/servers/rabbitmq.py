"""A private RabbitMQ: own folder, own ports, own name service, gone with the process that started it."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.servers.guardian import unprivileged
from tests.servers.installed import HOW_TO_GET_RABBITMQ, rabbitmq_binaries
from tests.servers.ports import answers, free_port
from tests.servers.private import USER, PrivateServer

ADMIN = "admin"
RULES = r"^openqueue(\.|$)"
"""What docs/runtimes/rabbitmq.md says that OpenQueue may configure, write and read; the namespace is openqueue."""

SHORTAGES = {
    "memory": ("set_vm_memory_high_watermark", "0.000001", "0.4"),
    "disk": ("set_disk_free_limit", "9999GB", "50MB"),
}


class RabbitMQMissing(RuntimeError):
    pass


class RabbitMQ(PrivateServer):
    """One node on free loopback ports. `url` is that of a user with few rights on the virtual host of the moment."""

    name = "rabbitmq"
    plugins: tuple[str, ...] = ("rabbitmq_management",)
    papers: Path | None = None
    """Where certificates are that the settings name."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings
        self.port, self.api_port, self.dist_port, self.epmd_port = (free_port() for _ in range(4))
        self.vhost = "/"
        self._names: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_of(USER)

    def url_of(self, user: str) -> str:
        return f"amqp://{user}:{self.password}@127.0.0.1:{self.port}/{quote(self.vhost, safe='')}"

    @property
    def management(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    # --- its life -------------------------------------------------------------------------------------------------

    def _find(self) -> None:
        folder = rabbitmq_binaries()
        if folder is None:
            raise RabbitMQMissing(HOW_TO_GET_RABBITMQ)
        self.binaries = folder

    def _last_word(self) -> str:
        return "; ".join(f"kill -9 $(cat {shlex.quote(str(self._inside(name)))})" for name in ("pid", "epmd"))

    def _initialise(self) -> None:
        folder = self._inside("")
        (folder / "rabbitmq.conf").write_text("\n".join(self.configuration()) + "\n")
        (folder / "plugins").write_text(f"[{','.join(self.plugins)}].\n")
        (folder / "advanced.config").write_text("[{rabbit, [{quorum_tick_interval, 500}]}].\n")
        for paper in self.papers.iterdir() if self.papers is not None else ():
            shutil.copy(paper, folder)
        self._as_user = unprivileged("rabbitmq", "nobody", folder=folder, files=[*folder.iterdir()])
        self._names = self._run("epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port), pid="epmd")

    def _settle_in(self) -> None:
        self.api("PUT", f"users/{USER}", password=self.password, tags="")

    def close(self) -> None:
        super().close()
        if self._names is not None:
            self._names.wait(timeout=10)

    def configuration(self) -> list[str]:
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": self.api_port,
            "default_user": ADMIN,
            "default_pass": self.password,
            "log.file.level": "warning",
            "collect_statistics_interval": 500,
        } | {name.replace("__", "."): self.placed(value) for name, value in self.settings.items()}
        return [f"{name} = {value}" for name, value in settings.items()]

    def placed(self, value: Any) -> Any:
        """Return a file of the papers by its place."""
        return (
            self.folder / value
            if self.folder and self.papers and (self.papers / str(value)).is_file()
            else value
        )

    @property
    def environment(self) -> dict[str, str]:
        assert self.folder is not None
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"openqueue-{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Waiting for work without turning a core: others measure on this machine.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            "RUNNING_UNDER_SYSTEMD": "1",  # no shell in between: signals reach the server itself
        }

    def start(self, *, wait: bool = True) -> None:
        self._process = self._run(str(self.binaries / "rabbitmq-server"), pid="pid")
        if wait:
            self.wait_until_it_answers()

    def _run(self, *command: str, pid: str) -> subprocess.Popen[bytes]:
        assert self.folder is not None
        with (self.folder / "output").open("ab") as log:
            process = subprocess.Popen(
                [*self._as_user, *command], env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        (self.folder / pid).write_text(str(process.pid))
        return process

    def wait_until_it_answers(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(URLError, OSError, KeyError, IndexError):
                if answers(self.port) and self.node()["mem_limit"]:
                    return
            assert self._process is not None
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"RabbitMQ does not answer:\n{self.log()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL is a crash."""
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self.pid, number)
            self._process.wait(40)

    def log(self) -> str:
        assert self.folder is not None
        files = [self.folder / "output", *sorted((self.folder / "log").glob("*.log"))]
        return "\n".join(file.read_text(errors="replace")[-5_000:] for file in files if file.exists())

    # --- its administrator ----------------------------------------------------------------------------------------

    @contextmanager
    def virtual_host(self) -> Iterator[None]:
        """Give the users an empty virtual host for a while."""
        self.vhost = f"test-{secrets.token_hex(4)}"
        self.api("PUT", f"vhosts/{self.vhost}")
        self.permit(ADMIN, ".*")
        self.permit(USER, RULES)
        try:
            yield
        finally:
            assert self._process is not None
            if self._process.poll() is not None:
                self.start()
            with suppress(OSError):  # after a crash it may take minutes; the next test has another one
                self.api("DELETE", f"vhosts/{self.vhost}")
            self.vhost = "/"

    def permit(self, user: str, rules: str) -> None:
        """Let a user configure, write and read what matches."""
        self.api("PUT", f"permissions/{self.vhost}/{user}", configure=rules, write=rules, read=rules)

    def api(self, method: str, path: str, **body: Any) -> Any:
        """Ask the management API as an administrator."""
        token = base64.b64encode(f"{ADMIN}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if method in {"PUT", "POST"} else None
        request = Request(f"{self.management}/api/{path}", data=data, headers=headers, method=method)
        with urlopen(request, timeout=20) as response:
            text = response.read()
        return json.loads(text) if text else None

    def node(self) -> dict[str, Any]:
        """Return what the node says of itself."""
        found: dict[str, Any] = self.api("GET", "nodes")[0]
        return found

    def queues(self) -> dict[str, dict[str, Any]]:
        """Return the queues of the virtual host by name."""
        return {queue["name"]: queue for queue in self.api("GET", f"queues/{self.vhost}")}

    def connections(self) -> list[dict[str, Any]]:
        """Return the connections of the user with few rights."""
        return [one for one in self.api("GET", "connections") if one.get("user") == USER]

    def delete_queue(self, name: str) -> None:
        self.api("DELETE", f"queues/{self.vhost}/{quote(name, safe='')}")

    def cut_off(self) -> int:
        """Close every connection as an operator does; return how many there were."""
        found = self.connections()
        for one in found:
            with suppress(URLError):  # it went by itself
                self.api("DELETE", f"connections/{quote(one['name'], safe='')}")
        return len(found)

    @contextmanager
    def short_of(self, what: str) -> Iterator[None]:
        """Let it run out of "memory" or "disk" for a while; after it nobody is told so any more."""
        command, too_much, enough = SHORTAGES[what]
        self.control(command, too_much)
        try:
            yield
        finally:
            self.control(command, enough)
            until = time.monotonic() + 30
            while (told := self.node()) and (
                told["mem_alarm"] or told["disk_free_alarm"] or told["mem_used"] > told["mem_limit"] / 2
            ):
                assert time.monotonic() < until, told
                time.sleep(0.05)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl."""
        done = subprocess.run(
            [*self._as_user, str(self.binaries / "rabbitmqctl"), "--quiet", *arguments], env=self.environment,
            cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
