"""Runs: listed, triggered, looked at, cancelled, retried."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Why, act, faulty
from openqueue.api.problems import Refusal
from openqueue.api.views import ApiView
from openqueue.conf import NAME
from openqueue.control import idempotency, run_acts, run_list, run_logs, tasks
from openqueue.control.callers import Caller, Right
from openqueue.control.run_acts import Attempts, Events, Logs, RunAnswer, ShownRun
from openqueue.control.run_facts import RunFacts
from openqueue.control.run_list import STATUSES, Wanted
from openqueue.control.search.reading import LONGEST
from openqueue.control.tasks import Wish

KEY_HEADER: Final = "Idempotency-Key"
HEEDED: Final = {
    KEY_HEADER: "1 to 200 printable characters, perhaps in quotes. The same request with the same key within 24 "
    "hours creates nothing and gets the first answer; another request with it is refused."
}
MOST_RUNS: Final = 1_000
LEVELS: Final = {
    name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error", "critical")
}
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
QueueName = Annotated[str, msgspec.Meta(pattern=f"^{NAME.pattern}$")]


class RunQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which runs to list."""

    status: Literal[STATUSES] | msgspec.UnsetType = msgspec.UNSET  # type: ignore[valid-type]  # the table's own
    queue: QueueName | msgspec.UnsetType = msgspec.UNSET
    task_id: Text | msgspec.UnsetType = msgspec.UNSET
    tag: Text | msgspec.UnsetType = msgspec.UNSET
    since: (
        Annotated[
            datetime,
            msgspec.Meta(tz=True, description="Created since; with a final status, finished since."),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    search: Annotated[str, msgspec.Meta(max_length=LONGEST)] = ""
    """More conditions, as in `error:Timeout -queue:mail attempt:3 args.order.id:7`; `args.` and `error:` need the
    right to see payloads."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=500)] = ""
    """`older` or `newer` of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Runs, newest first; with one status, or several of a kind, finished ones by their end, the last first; running
    ones by their start and queued, scheduled and retrying ones by their due time, the earliest first."""

    runs: Sequence[RunFacts]
    searched_all: bool
    """False: only 100,000 runs were looked at: the newest; of queued ones those that were triggered first."""
    stopped: bool
    """The database took longer than two seconds: nothing is known. Narrow the search."""
    older: str | None
    """Cursor of the next page."""
    newer: str | None
    """Cursor of the page before."""


class LogQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which lines of a run's log to list."""

    attempt: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | msgspec.UnsetType = msgspec.UNSET
    level: Literal[tuple(LEVELS)] | msgspec.UnsetType = msgspec.UNSET  # type: ignore[valid-type]  # Python's own
    """Of this and above."""
    text: Text | msgspec.UnsetType = msgspec.UNSET
    """That contain it, whatever its case."""
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | msgspec.UnsetType = msgspec.UNSET
    """A place: `last` of an answer."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=run_logs.MOST)] = run_logs.MOST


class NewRun(msgspec.Struct, forbid_unknown_fields=True):
    """A run to create."""

    task_id: Text
    payload: dict[str, Any] = {}
    """The arguments by name; the task's schema says which."""
    options: dict[str, Any] = {}
    """As of using(): queue, priority, delay, run_at, max_attempts, backoff, timeout, ttl, tags, meta."""


class NewRuns(msgspec.Struct, forbid_unknown_fields=True):
    """Runs to create, all or none."""

    runs: Annotated[list[NewRun], msgspec.Meta(min_length=1, max_length=MOST_RUNS)]


class CreatedRun(msgspec.Struct):
    """A run that was created."""

    id: UUID
    task_id: str
    queue: str
    status: str


class CreatedRuns(msgspec.Struct):
    """Runs that were created, in the order of the request."""

    runs: list[CreatedRun]


class Runs(ApiView):
    """All runs that the caller sees."""

    section = "runs"
    operations = {
        "get": Operation(
            id="list_runs", right=Right.READ, query=RunQuery, answers={200: RunPage}, tagged=True
        ),
        "post": Operation(
            id="trigger_run",
            right=Right.TRIGGER,
            body=NewRun,
            headers=HEEDED,
            answers={201: CreatedRun},
            problems=(404, 409, 413, 415, 501),
        ),
    }

    def get(self, request: Request) -> Response:
        """List runs, a page at a time.

        A page is a place in the list, not a number of rows: what is written meanwhile moves nothing.
        """
        asked = self.parameters(request, RunQuery)
        caller = self.caller(request)
        wanted = Wanted(
            status=asked.status or None,
            queue=asked.queue or None,
            task_id=asked.task_id or None,
            tag=asked.tag or None,
            since=asked.since or None,
            search=asked.search,
            limit=asked.limit,
            queues=caller.queues,
            sees_payloads=caller.may(Right.DATA),
        )
        try:
            page = run_list.page(wanted, at=asked.cursor)
        except ValueError:
            raise faulty(
                [("cursor", "is none of this list: take `older` or `newer` of one of its pages")]
            ) from None
        if page.problems:
            raise faulty([("search", problem.message) for problem in page.problems])
        return Response(
            RunPage(
                runs=page.runs,
                searched_all=page.searched_all,
                stopped=page.stopped,
                older=page.older,
                newer=page.newer,
            )
        )

    def post(self, request: Request) -> Response:
        """Trigger one run."""
        new = self.body(request, NewRun)
        caller = self.caller(request)

        def act() -> Any:
            (run,) = tasks.trigger_for(caller, [wish(new)], many=False)
            return _created(run)

        response = once(request, caller, act)
        run = response.data["id"]
        response.headers["Location"] = reverse("openqueue-api:run", args=[run])
        return response


class RunBatch(ApiView):
    """Many runs at once."""

    section = "runs"
    operations = {
        "post": Operation(
            id="trigger_runs",
            right=Right.TRIGGER,
            body=NewRuns,
            headers=HEEDED,
            answers={201: CreatedRuns},
            problems=(404, 409, 413, 415, 501),
        )
    }

    def post(self, request: Request) -> Response:
        """Trigger up to a thousand runs in one transaction, all or none."""
        new = self.body(request, NewRuns)
        caller = self.caller(request)
        wishes = [wish(one) for one in new.runs]
        return once(
            request,
            caller,
            lambda: {"runs": [_created(run) for run in tasks.trigger_for(caller, wishes, many=True)]},
        )


class OneRun(ApiView):
    """One run."""

    section = "runs"
    operations = {
        "get": Operation(
            id="get_run", right=Right.READ, answers={200: ShownRun}, problems=(404,), tagged=True
        )
    }

    def get(self, request: Request, run_id: UUID) -> Response:
        """Look at one run; secret arguments are masked."""
        return Response(run_acts.show(run_id, caller=self.caller(request)))


class RunEvents(ApiView):
    """The history of one run."""

    section = "runs"
    operations = {
        "get": Operation(
            id="list_run_events", right=Right.READ, answers={200: Events}, problems=(404,), tagged=True
        )
    }

    def get(self, request: Request, run_id: UUID) -> Response:
        """List what happened to a run: the newest 500 events, oldest first."""
        return Response(run_acts.events(run_id, caller=self.caller(request)))


class RunLogs(ApiView):
    """The log of one run."""

    section = "runs"
    operations = {
        "get": Operation(
            id="list_run_logs",
            right=Right.DATA,
            query=LogQuery,
            answers={200: Logs},
            problems=(404,),
            tagged=True,
        )
    }

    def get(self, request: Request, run_id: UUID) -> Response:
        """List what a run's code logged: the newest lines, oldest first; with `after`, those that came then."""
        asked = self.parameters(request, LogQuery)
        found = run_acts.logs(
            run_id,
            caller=self.caller(request),
            attempt=asked.attempt or None,
            level=LEVELS[asked.level] if asked.level else None,
            text=asked.text or None,
            after=None if asked.after is msgspec.UNSET else asked.after,
            limit=asked.limit,
        )
        return Response(found)


class RunAttempts(ApiView):
    """The attempts of one run."""

    section = "runs"
    operations = {
        "get": Operation(
            id="list_run_attempts", right=Right.READ, answers={200: Attempts}, problems=(404,), tagged=True
        )
    }

    def get(self, request: Request, run_id: UUID) -> Response:
        """List a run's attempts, folded from its events."""
        return Response(run_acts.tries(run_id, caller=self.caller(request)))


class RunCancellation(ApiView):
    """The end of a run by somebody's wish."""

    section = "runs"
    operations = act("cancel_run", Right.CANCEL, RunAnswer, problems=(404, 409))

    def post(self, request: Request, run_id: UUID) -> Response:
        """Cancel a run: at once while it waits, by asking while it runs."""
        why = self.body(request, Why)
        return Response(run_acts.cancel(run_id, caller=self.caller(request), reason=why.reason))


class RunRetry(ApiView):
    """A new cycle of a run."""

    section = "runs"
    operations = act("retry_run", Right.RETRY, RunAnswer, problems=(404, 409, 501))

    def post(self, request: Request, run_id: UUID) -> Response:
        """Start a finished run anew."""
        why = self.body(request, Why)
        return Response(run_acts.retry(run_id, caller=self.caller(request), reason=why.reason))


def wish(new: NewRun) -> Wish:
    """Return what the service layer takes."""
    return Wish(task_id=new.task_id, payload=new.payload, options=new.options)


def _created(run: Any) -> dict[str, Any]:
    return {"id": str(run.id), "task_id": run.task_id, "queue": run.queue, "status": str(run.status)}


def once(request: Request, caller: Caller, act: Callable[[], Any]) -> Response:
    """Answer 201, and to a request that comes again what its first one got."""
    given = request.headers.get(KEY_HEADER)
    if given is None:
        return Response(act(), status=201)
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not idempotency.FORM.fullmatch(key):
        fault = (KEY_HEADER, "must be 1 to 200 printable ASCII characters without spaces")
        raise Refusal(400, "invalid_request", "The headers have faults.", faults=[fault])
    asked = {"path": request.path, "body": request.data}
    answer = idempotency.once(key, asked, caller=caller, act=act)
    return Response(
        answer.said, status=201, headers={"Idempotency-Replayed": "true"} if answer.repeated else None
    )
