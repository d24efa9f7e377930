"""Schedules: listed, looked at, created, changed, paused, triggered, deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation, Reason, Why, act
from openqueue.api.problems import Refusal
from openqueue.api.runs import Text
from openqueue.api.views import ApiView
from openqueue.control import schedule_access
from openqueue.control.callers import Right
from openqueue.control.run_acts import RunAnswer
from openqueue.control.schedule_access import ScheduleAnswer, SchedulePage, ShownSchedule, Ticks
from openqueue.control.schedules import STATUSES, Wanted
from openqueue.errors import ScheduleInvalid

LONGEST_KEY: Final = 200
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3_660 * 86_400)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Unset = msgspec.UnsetType
NOT_FOUND: Final = (404,)
OF_AN_ACT: Final = (404, 413, 415)


class ScheduleQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which schedules to list."""

    task_id: Text | Unset = msgspec.UNSET
    status: Literal[STATUSES] | Unset = msgspec.UNSET  # type: ignore[valid-type]  # the table's own
    key: Annotated[str, msgspec.Meta(max_length=LONGEST_KEY, description="How its key begins.")] | Unset = (
        msgspec.UNSET
    )
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, description="`next` of a page.")] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class TickQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which moments to list."""

    before: Annotated[datetime, msgspec.Meta(tz=True, description="`before` of a page.")] | Unset = (
        msgspec.UNSET
    )
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class Change(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to change about a schedule; what is not named stays, and null stands for the default."""

    cron: Name | Unset | None = msgspec.UNSET
    every: Seconds | Unset | None = msgspec.UNSET
    timezone: Name | Unset | None = msgspec.UNSET
    misfire: Name | Unset | None = msgspec.UNSET
    catchup_window: Seconds | Unset | None = msgspec.UNSET
    overlap: Name | Unset | None = msgspec.UNSET
    jitter: Seconds | Unset | None = msgspec.UNSET
    starts_at: Moment | Unset | None = msgspec.UNSET
    ends_at: Moment | Unset | None = msgspec.UNSET
    payload: dict[str, Any] | Unset = msgspec.UNSET
    options: dict[str, Any] | Unset = msgspec.UNSET
    """Of its runs: queue, priority, tags, meta, max_attempts, backoff, timeout, ttl."""
    reason: Reason = ""


class NewSchedule(Change, forbid_unknown_fields=True, kw_only=True):
    """A schedule to create; one of this task and key is made what is given."""

    task_id: Text
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)] | Unset = msgspec.UNSET
    """Its name among the schedules of its task; a request that is sent again with it changes nothing."""


class Schedules(ApiView):
    """All schedules that the caller sees."""

    section = "schedules"
    operations = {
        "get": Operation(
            id="list_schedules",
            right=Right.SCHEDULES,
            query=ScheduleQuery,
            answers={200: SchedulePage},
            tagged=True,
        ),
        "post": Operation(
            id="create_schedule",
            right=Right.SCHEDULE_ADD,
            body=NewSchedule,
            answers={200: ScheduleAnswer, 201: ScheduleAnswer},
            problems=(404, 413, 415, 501),
        ),
    }

    def get(self, request: Request) -> Response:
        """List schedules, a page at a time, in the order of their ids."""
        asked = self.parameters(request, ScheduleQuery)
        wanted = Wanted(
            task_id=asked.task_id or None,
            status=asked.status or None,
            key=asked.key or None,
            after=asked.after,
            limit=asked.limit,
        )
        return Response(schedule_access.listing(wanted, caller=self.caller(request)))

    def post(self, request: Request) -> Response:
        """Create a schedule; the caller needs the right to trigger the task as well."""
        new = self.body(request, NewSchedule)
        rule = _told(new)
        payload, options = rule.pop("payload", {}), rule.pop("options", {})
        answer = schedule_access.create(
            new.task_id,
            key=new.key or uuid4().hex,
            rule=rule,
            payload=payload,
            options=options,
            caller=self.caller(request),
            reason=new.reason,
        )
        return Response(answer, status=201 if answer.outcome == "created" else 200)


class OneSchedule(ApiView):
    """One schedule."""

    section = "schedules"
    operations = {
        "get": Operation(
            id="get_schedule",
            right=Right.SCHEDULES,
            answers={200: ShownSchedule},
            problems=NOT_FOUND,
            tagged=True,
        ),
        "patch": Operation(
            id="change_schedule",
            right=Right.SCHEDULE_CHANGE,
            body=Change,
            answers={200: ScheduleAnswer},
            problems=(404, 413, 415, 501),
        ),
        "delete": Operation(
            id="delete_schedule", right=Right.SCHEDULE_DELETE, answers={204: None}, problems=(404, 409)
        ),
    }

    def get(self, request: Request, schedule: int) -> Response:
        """Look at one schedule, and when it is due next."""
        return Response(schedule_access.one(schedule, caller=self.caller(request)))

    def patch(self, request: Request, schedule: int) -> Response:
        """Change a schedule; no run of the old definition is made after it."""
        change = self.body(request, Change)
        changed = _told(change)
        changed |= changed.pop("options", {})
        answer = schedule_access.edit(schedule, changed, caller=self.caller(request), reason=change.reason)
        return Response(answer)

    def delete(self, request: Request, schedule: int) -> Response:
        """Delete a schedule; its runs stay. One that code declares is paused instead."""
        try:
            schedule_access.delete(schedule, caller=self.caller(request))
        except ScheduleInvalid as error:
            raise Refusal(409, "declared_in_code", str(error)) from error
        return Response(None, status=204)


class ScheduleTicks(ApiView):
    """The history of a schedule."""

    section = "schedules"
    operations = {
        "get": Operation(
            id="list_schedule_ticks",
            right=Right.SCHEDULES,
            query=TickQuery,
            answers={200: Ticks},
            problems=NOT_FOUND,
            tagged=True,
        )
    }

    def get(self, request: Request, schedule: int) -> Response:
        """List what became of a schedule's moments, the newest first."""
        asked = self.parameters(request, TickQuery)
        return Response(
            schedule_access.ticks(
                schedule, before=asked.before or None, limit=asked.limit, caller=self.caller(request)
            )
        )


class SchedulePause(ApiView):
    """The pause of a schedule."""

    section = "schedules"
    operations = act("pause_schedule", Right.SCHEDULE_PAUSE, ScheduleAnswer)

    def post(self, request: Request, schedule: int) -> Response:
        """Make no runs of a schedule until it is resumed."""
        why = self.body(request, Why)
        return Response(schedule_access.pause(schedule, caller=self.caller(request), reason=why.reason))


class ScheduleResumption(ApiView):
    """The end of a pause."""

    section = "schedules"
    operations = act("resume_schedule", Right.SCHEDULE_PAUSE, ScheduleAnswer)

    def post(self, request: Request, schedule: int) -> Response:
        """Go on with a schedule from now."""
        why = self.body(request, Why)
        return Response(schedule_access.resume(schedule, caller=self.caller(request), reason=why.reason))


class ScheduleRuns(ApiView):
    """Runs of a schedule beside its rule."""

    section = "schedules"
    operations = act("trigger_schedule", Right.SCHEDULE_TRIGGER, RunAnswer, problems=(404, 501), status=201)

    def post(self, request: Request, schedule: int) -> Response:
        """Create a run of a schedule now; when it is due next stays as it is."""
        why = self.body(request, Why)
        answer = schedule_access.trigger_now(schedule, caller=self.caller(request), reason=why.reason)
        return Response(answer, status=201)


def _told(change: Change) -> dict[str, Any]:
    """Return what was named, with durations as times; an empty rule is no change."""
    told: dict[str, Any] = {}
    for name in Change.__struct_fields__:
        value = getattr(change, name)
        if value is msgspec.UNSET or name == "reason":
            continue
        told[name] = value
    return told
