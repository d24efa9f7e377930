"""The client for asyncio: the same methods, to be awaited."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar, Unpack
from uuid import UUID

import httpx

from openqueue.client import calls, insight
from openqueue.client.address import Address, answered, arguments, lost
from openqueue.client.calls import AnyRun, Calls
from openqueue.client.error_groups import AsyncErrorGroups
from openqueue.client.flows import Flow, FlowAnswer, NewNode, ShownFlow
from openqueue.client.insight import DepthSeries, NumbersBy, Seconds
from openqueue.client.talk import Answer, Ask, Lost, Patience, Talk
from openqueue.client.values import (
    Attempt,
    Cleared,
    CreatedRun,
    Event,
    Info,
    LogLine,
    NewRun,
    Options,
    Queue,
    QueueAnswer,
    Rule,
    Run,
    RunAnswer,
    Schedule,
    ScheduleAnswer,
    ShownRun,
    ShownSchedule,
    Task,
    Worker,
)

T = TypeVar("T")


class AsyncClient(AsyncErrorGroups):
    """OpenQueue's API for a program with a token and an event loop; safe to share between coroutines.

    Every method raises a `ClientError`: a kind of `Refused` by what the API said, or `NoAnswer` when it stayed silent
    in as many tries as `tries`. Requests whose repetition could do harm are sent once.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        tries: int = 5,
        patience: float = 60.0,
        allow_http: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Set up a client; nothing is sent yet.

        Args:
            url: where the API is included, https://example.com/openqueue/; else $OPENQUEUE_URL.
            token: else $OPENQUEUE_TOKEN.
            timeout: seconds for each of connecting, sending and receiving.
            tries: how often a request is sent at most.
            patience: seconds of pauses between the tries of one request, at most.
            allow_http: send the token in clear, to another host than this one.
            context: which certificates to trust; else those of certifi, or $SSL_CERT_FILE.

        Raises:
            ValueError: there is no address or token, or it could not be used safely.
        """
        address = Address.of(url, token, allow_http=allow_http)
        self.url = address.url
        self._timeout = timeout
        self._calls = Calls(patience=Patience(tries=tries, seconds=patience))
        verify = True if context is None else context
        self._http = httpx.AsyncClient(base_url=address.url, headers=address.headers, verify=verify)

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def trigger(
        self,
        task_id: str,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> CreatedRun:
        """Create one run. Each call has an idempotency key, so that sending it again creates nothing.

        Give a key of your own where the program itself may call again: `idempotency_key="order-4711"`.

        Raises:
            TaskNotFound: no such task exists for this token.
            RequestInvalid: `.errors` names each field of payload and options, and why.
            PayloadInvalid: the payload has no JSON form; nothing was sent.
        """
        return await self._hold(self._calls.trigger(task_id, payload, options, key=idempotency_key))

    async def trigger_many(
        self, new: Sequence[NewRun], *, idempotency_key: str | None = None
    ) -> list[CreatedRun]:
        """Create up to a thousand runs in one transaction, all or none."""
        return await self._hold(self._calls.trigger_many(new, key=idempotency_key))

    async def wait(self, run: AnyRun, timeout: float | None = None) -> Any:
        """Wait until a run ends and return its result. ``timeout`` is in seconds; None waits for ever.

        Raises:
            TaskFailed: it ended failed; `.error` has the type, message and traceback.
            RunCancelled: it was cancelled.
            RunExpired: it was not started in time.
            WaitTimeout: it did not end in time; it goes on.
        """
        return await self._hold(self._calls.wait(run, timeout))

    async def get(self, run: AnyRun) -> ShownRun:
        """Return one run with what it carries."""
        return await self._hold(self._calls.read(calls.run_path(run), ShownRun))

    async def runs(
        self,
        *,
        status: str | None = None,
        queue: str | None = None,
        task_id: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        search: str | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Run]:
        """Go through runs, newest first; with a status in its own order. Pages are fetched as needed.

        Finished ones come last finished first; running ones by their start, and those that are queued, scheduled or
        retrying by their due time, the earliest first.

        ``search`` takes more conditions, as in `error:Timeout -queue:mail attempt:3`. Where no index serves them, they
        are applied to the newest 100,000 runs.

        Raises:
            SearchStopped: a page took the server's database too long.
        """
        query = calls.filters(
            status=status,
            queue=queue,
            task_id=task_id,
            tag=tag,
            since=since,
            search=search,
            page_size=page_size,
        )
        more: str | None = ""
        while more is not None:
            page = await self._hold(self._calls.page(query, more))
            for run in page.runs:
                yield run
            more = page.older

    async def events(self, run: AnyRun) -> list[Event]:
        """Return a run's history: the newest 500 events, oldest first."""
        return await self._hold(self._calls.read_list(calls.run_path(run, "events"), "events", Event))

    async def logs(
        self, run: AnyRun, *, attempt: int | None = None, level: str | None = None, text: str | None = None
    ) -> list[LogLine]:
        """Return what a run's code logged: the newest 1,000 lines, oldest first.

        ``level``: of this and above: debug, info, warning, error, critical. ``text``: that contain it, in any case.
        """
        return await self._hold(self._calls.logs(run, {"attempt": attempt, "level": level, "text": text}))

    async def attempts(self, run: AnyRun) -> list[Attempt]:
        """Return a run's attempts, oldest first."""
        return await self._hold(self._calls.read_list(calls.run_path(run, "attempts"), "attempts", Attempt))

    async def cancel(self, run: AnyRun, *, reason: str = "") -> RunAnswer:
        """Cancel a run; the outcome is `cancelled`, `requested` (it hears within a heartbeat) or `finished`."""
        return await self._hold(self._calls.cancel(run, reason=reason))

    async def retry(self, run: AnyRun, *, reason: str = "") -> RunAnswer:
        """Start a finished run anew.

        Raises:
            NotFinished: it has not ended.
            NoAnswer: the answer was lost. It is not asked for again: look at the run.
        """
        return await self._hold(self._calls.retry(run, reason=reason))

    async def queues(self) -> list[Queue]:
        """Return all queues that the token sees."""
        return await self._hold(self._calls.read_list("queues", "queues", Queue))

    async def queue(self, name: str) -> list[Queue]:
        """Return one queue: while it moves to another runtime it has an entry for each."""
        return await self._hold(self._calls.read_list(calls.queue_path(name), "queues", Queue))

    async def pause(self, queue: str, *, reason: str = "") -> QueueAnswer:
        """Have nothing of a queue started until it is resumed."""
        return await self._hold(self._calls.switch(queue, "pause", reason=reason))

    async def resume(self, queue: str, *, reason: str = "") -> QueueAnswer:
        """Go on with a paused queue."""
        return await self._hold(self._calls.switch(queue, "resumption", reason=reason))

    async def clear(self, queue: str, *, confirm: str, reason: str = "") -> Cleared:
        """Cancel what waits in a queue, ten thousand runs at a time; `confirm` is its name once more."""
        return await self._hold(self._calls.clear(queue, confirm=confirm, reason=reason))

    async def schedules(
        self, *, task_id: str | None = None, status: str | None = None
    ) -> AsyncIterator[Schedule]:
        """Go through schedules, in the order of their ids. Pages are fetched as needed."""
        query = {name: value for name, value in (("task_id", task_id), ("status", status)) if value}
        after: int | None = 0
        while after is not None:
            page = await self._hold(self._calls.schedule_page(query, after))
            for one in page.schedules:
                yield one
            after = page.next

    async def schedule(self, schedule: int) -> ShownSchedule:
        """Return one schedule, and when it is due next."""
        return await self._hold(self._calls.read(f"schedules/{schedule}", ShownSchedule))

    async def create_schedule(
        self,
        task_id: str,
        *,
        key: str | None = None,
        payload: Mapping[str, Any] | None = None,
        options: Options | None = None,
        reason: str | None = None,
        **rule: Unpack[Rule],
    ) -> ScheduleAnswer:
        """Create a schedule; one of this task and `key` is made what is given.

        Raises:
            RequestInvalid: `.errors` names each field that is wrong, and why.
        """
        told = {"key": key, "payload": payload, "options": options, "reason": reason}
        return await self._hold(self._calls.create_schedule(task_id, told, rule))

    async def pause_schedule(self, schedule: int, *, reason: str = "") -> ScheduleAnswer:
        """Have no runs made until it is resumed."""
        return await self._hold(self._calls.switch_schedule(schedule, "pause", reason=reason))

    async def resume_schedule(self, schedule: int, *, reason: str = "") -> ScheduleAnswer:
        """Go on with a schedule from now."""
        return await self._hold(self._calls.switch_schedule(schedule, "resumption", reason=reason))

    async def trigger_schedule(self, schedule: int, *, reason: str = "") -> RunAnswer:
        """Create a run of a schedule now; when it is due next stays as it is."""
        return await self._hold(self._calls.trigger_schedule(schedule, reason=reason))

    async def delete_schedule(self, schedule: int) -> None:
        """Delete a schedule; its runs stay. One that code declares is refused: pause it instead."""
        await self._hold(self._calls.delete_schedule(schedule))

    async def flows(self, *, status: str | None = None, name: str | None = None) -> AsyncIterator[Flow]:
        """Go through flows, newest first. Pages are fetched as needed."""
        query = {key: value for key, value in (("status", status), ("name", name)) if value}
        after: str | None = ""
        while after is not None:
            page = await self._hold(self._calls.flow_page(query, after))
            for one in page.flows:
                yield one
            after = None if page.next is None else str(page.next)

    async def flow(self, flow: UUID | str) -> ShownFlow:
        """Return one flow with its nodes: what each waits for, and how its run stands."""
        return await self._hold(self._calls.read(calls.flow_path(flow), ShownFlow))

    async def trigger_flow(
        self,
        name: str,
        nodes: Sequence[NewNode],
        *,
        on_failure: str = "fail",
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> FlowAnswer:
        """Create a flow of up to a thousand calls that wait for each other, all or none; the key is as of `trigger`.

        Raises:
            TaskNotFound: no such task exists for this token.
            RequestInvalid: `.errors` names each field that is wrong, and why.
        """
        told = {"on_failure": on_failure, "reason": reason}
        return await self._hold(self._calls.trigger_flow(name, nodes, told, key=idempotency_key))

    async def cancel_flow(self, flow: UUID | str, *, reason: str = "") -> FlowAnswer:
        """Cancel a flow: what waits at once, what runs by asking. One that has ended raises AlreadyFinished."""
        return await self._hold(self._calls.act_on_flow(flow, "cancellation", reason=reason))

    async def retry_flow(self, flow: UUID | str, *, reason: str = "") -> FlowAnswer:
        """Begin those nodes anew that did not complete.

        Raises:
            NotFinished: none has ended without completing.
            NoAnswer: the answer was lost. It is not asked for again: look at the flow.
        """
        return await self._hold(self._calls.act_on_flow(flow, "retry", reason=reason))

    async def numbers(
        self,
        period: Seconds = 3600,
        *,
        step: Seconds = 60,
        task_id: str | None = None,
        queue: str | None = None,
    ) -> insight.Series:
        """Return how runs ended, step by step and in all, from so many seconds ago to now; steps are whole minutes."""
        wanted = {"period": period, "step": step, "task_id": task_id, "queue": queue}
        return await self._hold(self._calls.count("numbers", wanted, insight.Series))

    async def numbers_by_task(self, period: Seconds = 3600, *, queue: str | None = None) -> NumbersBy:
        """Return how the runs of each task ended."""
        return await self._hold(self._calls.numbers_by("tasks", period, queue=queue))

    async def numbers_by_queue(self, period: Seconds = 3600, *, task_id: str | None = None) -> NumbersBy:
        """Return how the runs of each queue ended."""
        return await self._hold(self._calls.numbers_by("queues", period, task_id=task_id))

    async def queue_depth(self, queue: str, period: Seconds = 3600, *, step: Seconds = 60) -> DepthSeries:
        """Return how much stood in a queue, and how long its oldest run had waited, step by step up to now."""
        return await self._hold(self._calls.depth(queue, period, step))

    async def tasks(self) -> list[Task]:
        """Return the tasks that exist for the token."""
        return await self._hold(self._calls.read_list("tasks", "tasks", Task))

    async def task(self, task_id: str) -> Task:
        """Return one task with the JSON Schema of its payload."""
        return await self._hold(self._calls.read(calls.task_path(task_id), Task))

    async def workers(self) -> list[Worker]:
        """Return the workers that have not signed off."""
        return await self._hold(self._calls.read_list("workers", "workers", Worker))

    async def info(self) -> Info:
        """Return who the server is, and what the token can name."""
        return await self._hold(self._calls.read("info", Info))

    async def _hold(self, talk: Talk[T]) -> T:
        """Hold a conversation: do what it wants until it returns."""
        said: Answer | Lost | None = None
        while True:
            try:
                wanted = talk.send(said)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # of T, which a StopIteration does not say
            if isinstance(wanted, Ask):
                said = await self._ask(wanted)
            else:
                await asyncio.sleep(wanted.seconds)
                said = None

    async def _ask(self, wanted: Ask) -> Answer | Lost:
        try:
            return answered(await self._http.request(**arguments(wanted, usual=self._timeout)))
        except httpx.RequestError as error:
            return lost(error)
