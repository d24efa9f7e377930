"""What a test has in hand: the runs that were triggered, asserts on them, and a way to run them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Self, overload
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections

from openqueue import payloads
from openqueue.conf import config
from openqueue.core import post_commit, rehearsal
from openqueue.declaration import Task
from openqueue.errors import TaskFailed, TaskTimeout
from openqueue.handle import RunHandle
from openqueue.ids import uuid7
from openqueue.models import Outbox, Run
from openqueue.orders import Bound
from openqueue.testing.expectation import Expectation, report
from openqueue.testing.faults import Fault, Faults, Loss
from openqueue.testing.stage import Execution, Stage
from openqueue.testing.triggered import Triggered

MOST: Final = 1_000
"""Attempts that one `run_all` executes."""
OWN_WORDS: Final = ("count", "options", "exact")


class QueuedRuns:
    """The runs in the test's database, oldest first: a sequence of `Triggered`.

    While it is entered (the fixture and the mixin do it) nothing is announced to any broker: `run_all` executes
    what is due, whatever runtime its queue is on.
    """

    def __init__(self) -> None:
        self.offset = timedelta(0)
        self.still: datetime | None = None
        """The moment at which time stands while runs are executed: an attempt takes no time but what is let pass."""
        self.forgotten: UUID | None = None
        self.faults = Faults()
        self.entered = ExitStack()

    def __enter__(self) -> Self:
        self.entered.enter_context(rehearsal.rehearsing(lambda: self.now))
        return self

    def __exit__(self, *_: object) -> None:
        self.entered.close()

    # --- what was triggered -----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Triggered]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())

    @overload
    def __getitem__(self, number: int) -> Triggered: ...
    @overload
    def __getitem__(self, number: slice) -> list[Triggered]: ...
    def __getitem__(self, number: int | slice) -> Triggered | list[Triggered]:
        runs = self.all()
        if isinstance(number, slice):
            return runs[number]
        try:
            return runs[number]
        except IndexError:
            raise IndexError(f"There is no run [{number}]. {report(runs, hint=self.hint())}") from None

    def __repr__(self) -> str:
        return "<QueuedRuns>"

    def all(self) -> list[Triggered]:
        """Return every run since the test began, or since `forget`, in one statement."""
        rows = Run.objects.using(config.database).order_by("pk")
        if self.forgotten is not None:
            rows = rows.filter(pk__gt=self.forgotten)
        return [Triggered.of(row) for row in rows]

    def of(self, task: Task[Any, Any]) -> list[Triggered]:
        """Return the runs of one task."""
        return [run for run in self.all() if run.task_id == task.id]

    def forget(self) -> None:
        """Leave what was triggered so far out of lists and asserts; `run_all` executes it all the same."""
        self.forgotten = uuid7()

    # --- asserts ------------------------------------------------------------------------------------------------

    def assert_triggered(
        self,
        task: Task[Any, Any],
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        count: int | None = None,
        options: Mapping[str, Any] | None = None,
        exact: bool = False,
        **named: Any,
    ) -> Triggered:
        """Assert that the task was triggered with these arguments; return the run, the newest if there are several.

        Arguments that are not named may be anything, unless ``exact``. ``count``: so many times, not once or more.
        ``options``: as in ``using()``, and ``runtime``. Arguments that are called `count`, `options` or `exact` are
        given in a dictionary, in front of the others.
        """
        expected = self.expect(task, arguments, named, options=options, exact=exact, count=count)
        runs = self.all()
        fitting = [run for run in runs if expected.fits(run)]
        if fitting and (count is None or len(fitting) == count):
            return fitting[-1]
        if count is None or not fitting:
            said = f"{expected} was not triggered."
        else:
            said = f"{expected} was triggered {times(len(fitting))}, not {times(count)}."
        raise AssertionError(f"{said}\n{report(runs, expected=expected, hint=self.hint())}")

    def assert_not_triggered(
        self,
        task: Task[Any, Any],
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        options: Mapping[str, Any] | None = None,
        exact: bool = False,
        **named: Any,
    ) -> None:
        """Assert that the task was not triggered, or not with these arguments and options."""
        expected = self.expect(task, arguments, named, options=options, exact=exact, count=None)
        runs = self.all()
        fitting = [run for run in runs if expected.fits(run)]
        if fitting:
            raise AssertionError(f"{expected} was triggered {times(len(fitting))}.\n{report(runs)}")

    def assert_nothing_triggered(self) -> None:
        """Assert that there is no run."""
        if runs := self.all():
            raise AssertionError(report(runs))

    def expect(
        self,
        task: Task[Any, Any],
        arguments: Mapping[str, Any] | None,
        named: Mapping[str, Any],
        *,
        options: Mapping[str, Any] | None,
        exact: bool,
        count: int | None,
    ) -> Expectation:
        if arguments is not None and not isinstance(arguments, Mapping):
            raise TypeError(f"{arguments!r}: name the arguments, or give them as a dictionary")
        if count is not None and count < 1:
            raise ValueError(f"count={count!r}: use assert_not_triggered")
        expected = Expectation(
            task, arguments={**(arguments or {}), **named}, options=options or {}, exact=exact
        )
        said = {"count": count is not None, "options": options is not None, "exact": exact}
        meant = [name for name in OWN_WORDS if said[name] and name in task.signature.parameters]
        if meant and arguments is None:
            raise TypeError(
                f"{task.id} has an argument {meant[0]!r} of its own. Give the arguments as a dictionary: "
                f"assert_triggered({task.function.__name__}, {{...}}, {meant[0]}=...)."
            )
        return expected

    def hint(self) -> str:
        """Say what may be why a run is missed: it is triggered after a commit that no TestCase makes."""
        waiting = [
            entry[1]
            for connection in connections.all(initialized_only=True)
            for entry in connection.run_on_commit
            if getattr(entry[1], "func", None) is not post_commit.put
        ]
        if not waiting:
            return ""
        return (
            f"{len(waiting)} on_commit callback{'s wait' if len(waiting) > 1 else ' waits'} for a commit that a "
            f"TestCase does not make. Wrap the code in captureOnCommitCallbacks(execute=True)."
        )

    # --- time -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The test's moment: Python's clock, plus what the test let pass."""
        return self.still or datetime.now(UTC) + self.offset

    @contextmanager
    def standing_still(self) -> Iterator[datetime]:
        began = self.still = self.now
        try:
            yield began
        finally:
            self.offset += self.still - began
            self.still = None

    def advance(self, duration: float | timedelta) -> None:
        """Let time pass (seconds, or a timedelta) without running anything."""
        span = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
        if span < timedelta(0):
            raise ValueError(f"advance({duration!r}): time does not go back")
        if self.still is not None:
            self.still += span
        else:
            self.offset += span

    # --- run ------------------------------------------------------------------------------------------------------

    def run_all(
        self, *, until: float | timedelta | datetime | None = None, raises: bool = True, most: int = MOST
    ) -> list[Execution]:
        """Execute what is due, and what that triggers, until nothing is due; return the attempts in their order.

        With ``until`` (seconds, a timedelta, or a moment) time passes up to it, from one due moment to the next:
        delays and retries happen. Bodies run in this thread, on this connection, in the open transaction.

        Raises:
            The body's own exception, when an attempt fails and no fault was asked for: its run is settled by then.
                With ``raises=False`` it is in the list that is returned.
            TaskFailed: an attempt ended before or after its body: the payload or the result does not fit.
            RuntimeError: after ``most`` attempts there are still some due.
        """
        stage = Stage(clock=lambda: self.now, faults=self.faults)
        executed: list[Execution] = []
        with self.standing_still() as began, stage.hearing():
            end = moment(until, after=began)
            while (row := stage.next() or self.wait(stage, until=end)) is not None:
                if len(executed) >= most:
                    raise RuntimeError(
                        f"run_all() executed {most} attempts and {row.task_id} is still due. Does it trigger itself? "
                        f"Otherwise allow more: run_all(most=...)."
                    )
                if (execution := stage.execute(row)) is not None:
                    executed.append(execution)
                    check(execution, raises=raises)
            self.advance(max(timedelta(0), end - self.now))
        return executed

    def wait(self, stage: Stage, *, until: datetime) -> Outbox | None:
        """Let time pass until the next row falls due, if it does so in time."""
        while (due_at := stage.next_due_at()) is not None and due_at <= until:
            self.advance(max(timedelta(0), due_at - self.now))
            if (row := stage.next()) is not None:
                return row
        return None

    # --- faults ---------------------------------------------------------------------------------------------------

    def fail(
        self,
        target: Any,
        error: BaseException | type[BaseException] | None = None,
        *,
        attempt: int | None = 1,
    ) -> None:
        """Have this attempt fail with ``error`` in place of its body.

        ``target`` is a task (every run of it) or a run; ``attempt=None`` means every attempt. `run_all` does not raise
        what was asked for.
        """
        error = RuntimeError("queued_runs.fail() asked for this") if error is None else error
        self.faults.plan(target, Fault(error=error), attempt=attempt)

    def time_out(self, target: Any, *, attempt: int | None = 1) -> None:
        """Have this attempt use up its timeout in place of its body."""
        self.faults.plan(target, Fault(error=TaskTimeout()), attempt=attempt)

    def lose(self, target: Any, *, attempt: int | None = 1, after_body: bool = False) -> None:
        """Have the worker of this attempt be lost before its body, or after it: then its result comes too late."""
        loss = Loss.AFTER if after_body else Loss.BEFORE
        self.faults.plan(target, Fault(loss=loss), attempt=attempt)

    def cancel_running(self, target: Any, *, attempt: int | None = 1) -> None:
        """Have somebody cancel the run as the body of this attempt begins."""
        self.faults.plan(target, Fault(cancel=True), attempt=attempt)

    def trigger_unchecked(self, task: Task[Any, Any], payload: Mapping[str, Any]) -> RunHandle[Any]:
        """Create a run whose payload nobody checks: as an older release of your code may have left it."""
        text = payloads.encode(dict(payload))
        return Bound(task=task, options=task.options, payload=text).trigger()

    # --- for async tests --------------------------------------------------------------------------------------------

    async def arun_all(self, **options: Any) -> list[Execution]:
        """Execute what is due; see `run_all`."""
        return await sync_to_async(partial(self.run_all, **options))()

    async def aassert_triggered(self, *args: Any, **kwargs: Any) -> Triggered:
        """Assert; see `assert_triggered`."""
        return await sync_to_async(partial(self.assert_triggered, *args, **kwargs))()

    async def aassert_not_triggered(self, *args: Any, **kwargs: Any) -> None:
        """Assert; see `assert_not_triggered`."""
        await sync_to_async(partial(self.assert_not_triggered, *args, **kwargs))()

    async def aassert_nothing_triggered(self) -> None:
        """Assert that there is no run."""
        await sync_to_async(self.assert_nothing_triggered)()

    async def aall(self) -> list[Triggered]:
        """Return every run; see `all`."""
        return await sync_to_async(self.all)()


def moment(until: float | timedelta | datetime | None, *, after: datetime) -> datetime:
    """Return the moment up to which time may pass."""
    if isinstance(until, datetime):
        if until.tzinfo is None:
            raise ValueError(f"until={until!r}: give an aware moment")
        return until
    return after + (until if isinstance(until, timedelta) else timedelta(seconds=until or 0))


def check(execution: Execution, *, raises: bool) -> None:
    """Show the test what went wrong; a test that is interrupted is interrupted."""
    if isinstance(execution.exception, KeyboardInterrupt):
        raise execution.exception
    if not raises or not execution.went_wrong:
        return
    if execution.exception is not None:
        raise execution.exception
    raise TaskFailed(
        execution.run_id, status=execution.status, reason=execution.reason, error=execution.error
    )


def times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
