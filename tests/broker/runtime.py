"""The runtime of the test broker: what a third party would write, in about as many lines."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from openqueue.conf import config
from openqueue.runtimes.base import Capabilities, Message, Published, QueueStats, Receipt, RuntimeHealth

PATIENCE = 5.0
SLICE = 0.1
"""Seconds that one request waits at the broker, so that `wake` is heard."""


class Client:
    """One connection, opened when it is needed; used under its lock."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lock = threading.Lock()
        self.lines: Any = None

    def ask(self, do: str, **more: Any) -> Any:
        with self.lock:
            if self.lines is None:
                end = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
                self.lines = end.makefile("rw", encoding="utf-8")
                end.close()  # the file keeps it open
            try:
                self.lines.write(json.dumps({"do": do, **more}) + "\n")
                self.lines.flush()
                answer = self.lines.readline()
            except OSError:
                self.drop()
                raise
            if not answer.endswith("\n"):
                self.drop()
                raise ConnectionResetError("the broker went away before it answered")
            return json.loads(answer)

    def drop(self) -> None:
        lines, self.lines = self.lines, None
        if lines is not None:
            with contextlib.suppress(OSError):  # what was not sent cannot be flushed
                lines.close()

    def close(self) -> None:
        with self.lock:
            self.drop()


class BrokerRuntime:
    """OPTIONS: port, the broker's."""

    capabilities = Capabilities(priorities="native", depth=True, unacked=True)
    carries_messages = True

    def __init__(self, alias: str, *, port: int) -> None:
        self.alias = alias
        self.port = port
        self.client = Client(port)

    def declare(self, queues: Sequence[str]) -> None:
        """Do nothing: a queue exists once it is named."""

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        envelopes = [
            {"queue": m.queue, "body": m.encode(namespace=config.namespace).decode(), "rank": -m.priority}
            for m in messages
        ]
        try:
            refs = self.client.ask("publish", messages=envelopes)
        except ConnectionRefusedError as error:
            return [Published(error=str(error))] * len(messages)
        except OSError as error:
            return [Published(error=str(error), certain=False)] * len(messages)
        return [Published(ref=ref) for ref in refs]

    def missing(self, messages: Sequence[Message], refs: Sequence[str | None]) -> Sequence[bool]:
        return list(self.client.ask("missing", refs=list(refs)))

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> BrokerConsumer:
        return BrokerConsumer(self, queues)

    def inspect(self, queue: str) -> QueueStats:
        depth, unacked = self.client.ask("inspect", queue=queue)
        return QueueStats(depth=depth, unacked=unacked)

    def health(self) -> RuntimeHealth:
        try:
            self.client.ask("inspect", queue="default")
        except OSError as error:
            return RuntimeHealth(ok=False, detail=str(error))
        return RuntimeHealth(ok=True)

    def close(self) -> None:
        self.client.close()


class BrokerConsumer:
    """Receives on a connection of its own."""

    def __init__(self, runtime: BrokerRuntime, queues: Sequence[str]) -> None:
        self.client = Client(runtime.port)
        self.queues = list(queues)
        self.paused: set[str] = set()
        self.woken = threading.Event()
        self.mine: set[int] = set()

    def receive(self, *, limit: int, timeout: float) -> Sequence[Receipt]:
        until = time.monotonic() + timeout
        while True:
            left = max(0.0, min(SLICE, until - time.monotonic()))
            open_queues = [queue for queue in self.queues if queue not in self.paused]
            try:
                taken = self.client.ask("receive", queues=open_queues, limit=limit, timeout=left)
            except OSError:
                taken = []
                self.woken.wait(left)
            if taken or self.woken.is_set() or time.monotonic() >= until:
                break
        self.woken.clear()
        self.mine.update(m["number"] for m in taken)
        return [Receipt(body=m["body"].encode(), queue=m["queue"], handle=m["number"]) for m in taken]

    def ack(self, receipts: Sequence[Receipt]) -> None:
        self.settle("ack", receipts)

    def release(self, receipts: Sequence[Receipt]) -> None:
        self.settle("release", receipts)

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        self.settle("ack", receipts)

    def settle(self, do: str, receipts: Sequence[Receipt]) -> None:
        numbers = [receipt.handle for receipt in receipts]
        self.mine.difference_update(numbers)
        with contextlib.suppress(OSError):  # they come again at their deadline, and are answered `gone`
            self.client.ask(do, numbers=numbers)

    def pause(self, queues: Sequence[str]) -> None:
        self.paused.update(queues)

    def resume(self, queues: Sequence[str]) -> None:
        self.paused.difference_update(queues)

    def wake(self) -> None:
        self.woken.set()

    def close(self) -> None:
        if self.mine:
            self.settle("release", [Receipt(body=b"", queue="", handle=number) for number in self.mine])
        self.client.close()
