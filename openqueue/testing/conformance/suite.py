"""What the cases of the suite share: a fresh queue, tasks that are forgotten, a worker, and patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, overload
from uuid import uuid4

import pytest
from django.db import connections

from openqueue import registry
from openqueue.core import post_commit
from openqueue.declaration import Task
from openqueue.models import RunEvent
from openqueue.processes.worker.worker import Worker
from openqueue.runtimes.base import Consumer, Message, Receipt, Runtime
from openqueue.types import Due

T = TypeVar("T")
Case = TypeVar("Case", bound=Callable[..., Any])


class Declare(Protocol):
    """``@declare``, or ``@declare(max_attempts=1)``."""

    @overload
    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]: ...
    @overload
    def __call__(self, **options: Any) -> Callable[[Callable[..., Any]], Task[..., Any]]: ...


class Served(Worker):
    """A worker that knows whether its case has stopped it: a second stop is another matter."""

    asked = False

    def stop(self) -> None:
        """Note it, and stop."""
        self.asked = True
        super().stop()


def needs(*promises: str) -> Callable[[Case], Case]:
    """Have a case left out where the runtime lacks one of these capabilities."""

    def mark(case: Case) -> Case:
        case.needs = promises  # type: ignore[attr-defined]  # read by the fixture below
        return case

    return mark


@pytest.mark.django_db(transaction=True)
class Suite:
    """Fixtures and verbs of the cases."""

    soon = 20.0
    """Seconds that anything may take before a case fails."""

    @pytest.fixture
    def queue(self, runtime: Runtime) -> str:
        """Return a queue that no other case uses."""
        name = f"conformance-{uuid4().hex[:8]}"
        runtime.declare([name])
        return name

    @pytest.fixture
    def consumer(self, runtime: Runtime, queue: str) -> Iterator[Consumer]:
        """Yield a consumer of the queue."""
        consumer = runtime.consumer([queue], prefetch=10)
        yield consumer
        consumer.close()

    @pytest.fixture
    def declare(self, queue: str) -> Iterator[Declare]:
        """Yield a ``@task`` whose tasks live on the case's queue and are forgotten after it."""
        made: list[Any] = []

        def declare(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
            if function is None:
                return lambda function: declare(function, **options)
            defaults = {"id": f"conformance.{function.__name__}", "queue": queue}
            made.append(Task(function, **defaults | options))
            return made[-1]

        yield declare
        for task in made:
            registry.remove(task)

    @pytest.fixture(autouse=True)
    def _promised(self, request: pytest.FixtureRequest) -> None:
        """Leave out, by name, what the runtime does not promise."""
        for what in getattr(request.function, "needs", ()):
            if not self.promises(request.getfixturevalue("runtime"), what):
                pytest.skip(f"this runtime does not promise {what}")  # that it refuses it is another case

    @pytest.fixture(autouse=True)
    def _publisher_ends(self) -> Iterator[None]:
        """End the thread that announces on commit with its case."""
        yield
        post_commit.publisher.flush()
        post_commit.publisher = post_commit.Publisher()

    @staticmethod
    def promises(runtime: Runtime, what: str) -> bool:
        """Tell whether the runtime has a capability."""
        return bool(getattr(runtime.capabilities, what))

    # --- verbs ------------------------------------------------------------------------------------------------

    @staticmethod
    def message(queue: str, *, priority: int = 0, task_id: str = "conformance.any") -> Message:
        """Return an announcement of a run that does not exist."""
        return Message(uuid4(), 1, task_id, queue, priority=priority)

    def receive(self, consumer: Consumer, count: int = 1) -> list[Receipt]:
        """Receive so many messages, in as many calls as it takes."""
        receipts: list[Receipt] = []
        until = time.monotonic() + self.soon
        while len(receipts) < count and time.monotonic() < until:
            received = consumer.receive(limit=count - len(receipts), timeout=0.5)
            assert not isinstance(received, Due)
            receipts += received
        assert len(receipts) == count, f"{len(receipts)} of {count} messages came within {self.soon} s"
        return receipts

    @staticmethod
    def nothing_comes(consumer: Consumer, *, within: float = 0.2) -> None:
        received = consumer.receive(limit=10, timeout=within)
        assert not isinstance(received, Due)
        assert list(received) == [], "something came that should not have"

    def eventually(self, condition: Callable[[], T]) -> T:
        """Return the first true answer; fail when none came in time."""
        until = time.monotonic() + self.soon
        while not (answer := condition()):
            assert time.monotonic() < until, f"not within {self.soon} s; the last answer was {answer!r}"
            time.sleep(0.01)
        return answer

    @contextmanager
    def worker(self, queue: str, *, slots: int = 4) -> Iterator[Worker]:
        """Run a real worker, with its sweeps, in this process."""
        worker = Served(queues=[queue], slots=slots)

        def run() -> None:
            try:
                worker.run()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run, name="conformance-worker")
        thread.start()
        try:
            yield worker
        finally:
            if not worker.asked:
                worker.stop()
            thread.join(self.soon)
        assert not thread.is_alive(), "the worker did not stop"

    def finish(self, run: Any, *, status: str = "completed") -> Any:
        """Wait until a run has ended; return its row."""
        self.eventually(lambda: run.refresh().row.is_final)
        assert run.status == status, run.error
        return run.row

    @staticmethod
    def story(run: Any) -> list[str]:
        """Return what happened to a run, in order."""
        events = RunEvent.objects.filter(run_id=run.id).order_by("id")
        return [event.kind for event in events if event.version is not None]
