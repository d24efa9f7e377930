"""Rules, channels, and receivers to send to: real servers on this host."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openqueue.alerts import channels, evaluation, kinds, signing
from openqueue.alerts.pulses import Pulses
from openqueue.models import AlertChannel, AlertRule
from openqueue.processes.sweeps.deliveries import Deliveries

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)


def make_channel(*, name: str = "ops", kind: str = "email", url: str = "", **facts: Any) -> AlertChannel:
    target: dict[str, Any] = {"recipients": ["ops@example.com"]}
    if kind != "email":
        target = {"url": url, "secret": signing.make_secret()}
    return AlertChannel.objects.create(
        name=name,
        kind=kind,
        shown="x",
        target=channels.sealed(target),
        created_at=NOW,
        created_by="ada",
        **facts,
    )


def make_rule(*to: AlertChannel, kind: str = "backlog_age", **facts: Any) -> AlertRule:
    facts = {
        "name": f"rule {AlertRule.objects.count() + 1}",
        "threshold": kinds.KINDS[kind].threshold,
    } | facts
    rule = AlertRule.objects.create(
        kind=kind, created_at=NOW, created_by="ada", **{"queues": [], "tasks": [], "cooldown": 0} | facts
    )
    rule.channels.set(to)
    return rule


def look(now: datetime | None = None) -> int:
    """Look once at all rules."""
    return evaluation.evaluate(evaluation.active(), pulses=Pulses(), now=now)


def send(now: datetime | None = None) -> int:
    """Send what is due, in this thread."""
    return Deliveries().send(now=now)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@dataclass
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """An HTTP server that keeps what it gets."""

    answer: Callable[[Received], int] = lambda _: 200
    received: list[Received] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    text: bytes = b"thanks"

    def __enter__(self) -> Receiver:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                one = Received(self.path, dict(self.headers), body)
                outer.received.append(one)
                self.send_response(outer.answer(one))
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.text)))
                self.end_headers()
                self.wfile.write(outer.text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hooks/T0/B0/canary"
