"""What was counted: numbers of ended runs over time, by task and by queue; groups of errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Reason, Why, act, faulty
from openqueue.api.runs import QueueName, Text
from openqueue.api.views import ApiView
from openqueue.control import insight
from openqueue.control.callers import Right
from openqueue.control.errors import MOST_AN_HOUR, STATES, ErrorDetail
from openqueue.control.insight import ErrorAnswer, ErrorList, NumbersBy
from openqueue.control.series import Series

LONGEST: Final = 3_660 * 86_400
Unset = msgspec.UnsetType
Period = Annotated[
    int, msgspec.Meta(ge=60, le=LONGEST, description="Seconds up to now; the running minute is in it.")
]

Step = Annotated[int, msgspec.Meta(ge=60, le=LONGEST, description="Seconds; whole minutes.")]


class SeriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which numbers, of which time."""

    period: Period = 3_600
    step: Step = 60
    task_id: Text | Unset = msgspec.UNSET
    queue: QueueName | Unset = msgspec.UNSET


class ByTaskQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of which time, and of which queue."""

    period: Period = 3_600
    queue: QueueName | Unset = msgspec.UNSET


class ByQueueQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of which time, and of which task."""

    period: Period = 3_600
    task_id: Text | Unset = msgspec.UNSET


class ErrorQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which groups to list."""

    state: Literal[STATES] | Unset = msgspec.UNSET  # type: ignore[valid-type]  # the table's own
    task_id: Text | Unset = msgspec.UNSET
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class Resolving(msgspec.Struct, forbid_unknown_fields=True):
    """A group that is mended."""

    release: Annotated[
        str,
        msgspec.Meta(
            max_length=60,
            pattern=r"^[!-~]*$",
            description="That it is mended in, which may be yet to come: failures of older ones do not open the group.",
        ),
    ] = ""
    reason: Reason = ""


class Ignoring(msgspec.Struct, forbid_unknown_fields=True):
    """A group to ignore."""

    until: Annotated[datetime, msgspec.Meta(tz=True, description="null: for ever.")] | None = None
    above: (
        Annotated[
            int,
            msgspec.Meta(ge=0, le=MOST_AN_HOUR, description="More failures within one hour open it again."),
        ]
        | None
    ) = None
    reason: Reason = ""


class NumbersOverTime(ApiView):
    """How runs ended, step by step."""

    section = "numbers"
    operations = {
        "get": Operation(
            id="numbers", right=Right.READ, query=SeriesQuery, answers={200: Series}, problems=(404,)
        )
    }

    def get(self, request: Request) -> Response:
        """Count how runs ended, step by step and in all: right to the row, the running minute included."""
        asked = self.parameters(request, SeriesQuery)
        found = told(
            lambda: insight.over_time(
                timedelta(seconds=asked.period),
                step=timedelta(seconds=asked.step),
                task_id=asked.task_id or None,
                queue=asked.queue or None,
                caller=self.caller(request),
            )
        )
        return Response(found)


class NumbersByTask(ApiView):
    """How the runs of each task ended."""

    section = "numbers"
    operations = {
        "get": Operation(
            id="numbers_by_task",
            right=Right.READ,
            query=ByTaskQuery,
            answers={200: NumbersBy},
            problems=(404,),
        )
    }

    def get(self, request: Request) -> Response:
        """Count how runs ended by task."""
        asked, caller = self.parameters(request, ByTaskQuery), self.caller(request)
        period = timedelta(seconds=asked.period)
        return Response(told(lambda: insight.by_task(period, queue=asked.queue or None, caller=caller)))


class NumbersByQueue(ApiView):
    """How the runs of each queue ended."""

    section = "numbers"
    operations = {
        "get": Operation(
            id="numbers_by_queue", right=Right.READ, query=ByQueueQuery, answers={200: NumbersBy}
        )
    }

    def get(self, request: Request) -> Response:
        """Count how runs ended by queue."""
        asked, caller = self.parameters(request, ByQueueQuery), self.caller(request)
        period = timedelta(seconds=asked.period)
        return Response(told(lambda: insight.by_queue(period, task_id=asked.task_id or None, caller=caller)))


class Errors(ApiView):
    """All groups of errors."""

    section = "errors"
    operations = {
        "get": Operation(
            id="list_errors",
            right=Right.ERRORS,
            query=ErrorQuery,
            answers={200: ErrorList},
            whole=True,
            tagged=True,
        )
    }

    def get(self, request: Request) -> Response:
        """List failures by what makes them the same, seen last first."""
        asked = self.parameters(request, ErrorQuery)
        found = insight.groups(
            state=asked.state or None,
            task_id=asked.task_id or None,
            limit=asked.limit,
            caller=self.caller(request),
        )
        return Response(found)


class OneError(ApiView):
    """One group of errors."""

    section = "errors"
    operations = {
        "get": Operation(
            id="get_error",
            right=Right.ERRORS,
            answers={200: ErrorDetail},
            problems=(404,),
            whole=True,
            tagged=True,
        )
    }

    def get(self, request: Request, group: int) -> Response:
        """Look at one group: its newest error, and the runs that failed so last."""
        return Response(insight.group(group, caller=self.caller(request)))


class ErrorResolution(ApiView):
    """The mending of a group of errors."""

    section = "errors"
    operations = act("resolve_error", Right.TRIAGE, ErrorAnswer, body=Resolving, whole=True)

    def post(self, request: Request, group: int) -> Response:
        """Say that it is mended: whatever fails so after this moment opens the group; of that release, or newer."""
        asked, caller = self.body(request, Resolving), self.caller(request)
        return Response(insight.resolve(group, release=asked.release, caller=caller, reason=asked.reason))


class ErrorIgnoring(ApiView):
    """The ignoring of a group of errors."""

    section = "errors"
    operations = act("ignore_error", Right.TRIAGE, ErrorAnswer, body=Ignoring, whole=True)

    def post(self, request: Request, group: int) -> Response:
        """Ignore it: for ever, until a moment, or until it fails more often than that within one hour."""
        asked, caller = self.body(request, Ignoring), self.caller(request)

        def ignore() -> ErrorAnswer:
            return insight.ignore(
                group, until=asked.until, above=asked.above, caller=caller, reason=asked.reason
            )

        return Response(told(ignore, name="until"))


class ErrorReopening(ApiView):
    """The opening of a group of errors."""

    section = "errors"
    operations = act("reopen_error", Right.TRIAGE, ErrorAnswer, whole=True)

    def post(self, request: Request, group: int) -> Response:
        """Open it again."""
        why = self.body(request, Why)
        return Response(insight.reopen(group, caller=self.caller(request), reason=why.reason))


def told(ask: Callable[[], Any], *, name: str = "period") -> Any:
    """Answer, or name the parameter that cannot be."""
    try:
        return ask()
    except ValueError as error:
        message = str(error)
        first = message.partition(" ")[0]
        raise faulty([(first if first in {"step", "above"} else name, message)]) from error
