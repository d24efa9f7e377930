"""What can be asked of the API, each as a conversation: request, answer, value."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import msgspec

from openqueue import codec
from openqueue.client.errors import AlreadyFinished, RunCancelled, SearchStopped
from openqueue.client.flows import FlowAnswer, FlowPage, NewNode
from openqueue.client.insight import DepthSeries, ErrorGroup, ErrorGroupAnswer, NumbersBy, Seconds
from openqueue.client.talk import NOT_MODIFIED, Ask, Patience, Pause, Talk, ask, decode
from openqueue.client.values import (
    Cleared,
    CreatedRun,
    Identified,
    LogLine,
    NewRun,
    Options,
    QueueAnswer,
    Rule,
    RunAnswer,
    RunPage,
    ScheduleAnswer,
    SchedulePage,
    ShownRun,
)
from openqueue.errors import PayloadInvalid, RunExpired, TaskFailed, WaitTimeout
from openqueue.states import FINAL, Status

T = TypeVar("T")
AnyRun = Identified | UUID | str
MOST_RUNS: Final = 1_000
MOST_BYTES: Final = 8 * 2**20
FIRST_LOOK: Final = 0.1
LONGEST_LOOK: Final = 2.0
"""Seconds between two looks of wait()."""
LEAST_TIME: Final = 0.5
"""Seconds that a look of wait() has for its answer, however little is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The operations of the API that clients offer."""

    patience: Patience
    clock: Callable[[], float] = time.monotonic

    def trigger(
        self, task_id: str, payload: Mapping[str, Any] | None, options: Options, *, key: str | None
    ) -> Talk[CreatedRun]:
        """Create one run."""
        new = NewRun(task_id, payload or {}, options)
        answer = yield from ask(_creation("runs", _plain(new), key=key), self.patience)
        return decode(answer, CreatedRun)

    def trigger_many(self, new: Sequence[NewRun], *, key: str | None) -> Talk[list[CreatedRun]]:
        """Create many runs, all or none."""
        if not new:
            return []
        if len(new) > MOST_RUNS:
            raise PayloadInvalid(
                [("runs", f"are {len(new):,}, and one request takes {MOST_RUNS:,}: send several")]
            )
        body = {"runs": [_plain(one) for one in new]}
        answer = yield from ask(_creation("runs/batch", body, key=key), self.patience)
        return _listed(decode(answer, dict[str, msgspec.Raw]), "runs", CreatedRun)

    def wait(self, run: AnyRun, timeout: float | None) -> Talk[Any]:
        """Look until the run ends and return its result; a look that shows nothing new is answered with 304."""
        until = None if timeout is None else self.clock() + timeout
        tag, pause = "", FIRST_LOOK
        while True:
            within = None if until is None else max(LEAST_TIME, until - self.clock())
            patience = self.patience
            if within is not None:
                patience = replace(patience, seconds=min(patience.seconds, within))
            headers = {"If-None-Match": tag} if tag else {}
            answer = yield from ask(Ask(path=run_path(run), headers=headers, within=within), patience)
            if answer.status != NOT_MODIFIED:
                shown, tag = decode(answer, ShownRun), answer.headers.get("etag", "")
                if shown.status in FINAL:
                    return _outcome(shown)
            left = None if until is None else until - self.clock()
            if left is not None and left <= 0:
                raise WaitTimeout
            yield Pause(pause if left is None else min(pause, left))
            pause = min(LONGEST_LOOK, pause * 1.5)

    def page(self, query: Mapping[str, str], cursor: str) -> Talk[RunPage]:
        """Return one page of a list: the first one, or that of a cursor."""
        wanted = Ask(path="runs", query={**query, "cursor": cursor} if cursor else query)
        page = decode((yield from ask(wanted, self.patience)), RunPage)
        if page.stopped:
            raise SearchStopped
        return page

    def read(self, path: str, kind: type[T]) -> Talk[T]:
        """Return what stands at an address."""
        return decode((yield from ask(Ask(path=path), self.patience)), kind)

    def read_list(self, path: str, name: str, kind: type[T]) -> Talk[list[T]]:
        """Return the list that an answer has under a name."""
        answer = yield from ask(Ask(path=path), self.patience)
        return _listed(decode(answer, dict[str, msgspec.Raw]), name, kind)

    def logs(self, run: AnyRun, wanted: Mapping[str, Any]) -> Talk[list[LogLine]]:
        """Return lines of a run's log."""
        asked = Ask(path=run_path(run, "logs"), query=_query(wanted))
        return _listed(
            decode((yield from ask(asked, self.patience)), dict[str, msgspec.Raw]), "logs", LogLine
        )

    def cancel(self, run: AnyRun, *, reason: str) -> Talk[RunAnswer]:
        """Cancel a run; one that has ended is an answer, as it is where the answer to a first try was lost."""
        try:
            answer = yield from ask(_act(run_path(run, "cancellation"), {"reason": reason}), self.patience)
        except AlreadyFinished as refused:
            if refused.run is None:
                raise
            return RunAnswer(outcome="finished", run=refused.run)
        return decode(answer, RunAnswer)

    def retry(self, run: AnyRun, *, reason: str) -> Talk[RunAnswer]:
        """Start a run anew; not asked for twice, since it may have ended again in between."""
        wanted = _act(run_path(run, "retry"), {"reason": reason}, repeatable=False)
        return decode((yield from ask(wanted, self.patience)), RunAnswer)

    def switch(self, queue: str, act: str, *, reason: str) -> Talk[QueueAnswer]:
        """Pause or resume a queue."""
        answer = yield from ask(_act(queue_path(queue, act), {"reason": reason}), self.patience)
        return decode(answer, QueueAnswer)

    def clear(self, queue: str, *, confirm: str, reason: str) -> Talk[Cleared]:
        """Clear a queue; not asked for twice, since other runs may have come in between."""
        body = {"confirm": confirm, "reason": reason}
        wanted = _act(queue_path(queue, "clearing"), body, repeatable=False)
        return decode((yield from ask(wanted, self.patience)), Cleared)

    def schedule_page(self, query: Mapping[str, str], after: int) -> Talk[SchedulePage]:
        """Return one page of schedules."""
        wanted = Ask(path="schedules", query={**query, "after": str(after)})
        return decode((yield from ask(wanted, self.patience)), SchedulePage)

    def create_schedule(self, task_id: str, told: Mapping[str, Any], rule: Rule) -> Talk[ScheduleAnswer]:
        """Create a schedule; with its key, a request that is sent again changes nothing."""
        body = {"task_id": task_id, "key": uuid4().hex} | _given(told) | _seconds(rule)
        return decode((yield from ask(_act("schedules", body), self.patience)), ScheduleAnswer)

    def switch_schedule(self, schedule: int, act: str, *, reason: str) -> Talk[ScheduleAnswer]:
        """Pause or resume a schedule."""
        answer = yield from ask(_act(f"schedules/{schedule}/{act}", {"reason": reason}), self.patience)
        return decode(answer, ScheduleAnswer)

    def trigger_schedule(self, schedule: int, *, reason: str) -> Talk[RunAnswer]:
        """Create a run of a schedule; not asked for twice, since that would create two."""
        wanted = _act(f"schedules/{schedule}/runs", {"reason": reason}, repeatable=False)
        return decode((yield from ask(wanted, self.patience)), RunAnswer)

    def delete_schedule(self, schedule: int) -> Talk[None]:
        """Delete a schedule; not asked for twice, since the second answer would be that there is none."""
        yield from ask(Ask(method="DELETE", path=f"schedules/{schedule}", repeatable=False), self.patience)

    def flow_page(self, query: Mapping[str, str], after: str) -> Talk[FlowPage]:
        """Return one page of flows."""
        wanted = Ask(path="flows", query={**query, "after": after} if after else query)
        return decode((yield from ask(wanted, self.patience)), FlowPage)

    def trigger_flow(
        self, name: str, nodes: Sequence[NewNode], told: Mapping[str, Any], *, key: str | None
    ) -> Talk[FlowAnswer]:
        """Create a flow, all of it or none."""
        body = {"name": name, "nodes": [_node(node) for node in nodes], **told}
        return decode((yield from ask(_creation("flows", body, key=key), self.patience)), FlowAnswer)

    def act_on_flow(self, flow: UUID | str, act: str, *, reason: str) -> Talk[FlowAnswer]:
        """Cancel or retry a flow; a retry is not asked for twice, since nodes may have ended again in between."""
        wanted = _act(f"{flow_path(flow)}/{act}", {"reason": reason}, repeatable=act == "cancellation")
        return decode((yield from ask(wanted, self.patience)), FlowAnswer)

    def count(self, path: str, wanted: Mapping[str, Any], kind: type[T]) -> Talk[T]:
        """Return numbers of ended runs."""
        return decode((yield from ask(Ask(path=path, query=_query(wanted)), self.patience)), kind)

    def numbers_by(self, what: str, period: Seconds, **only: str | None) -> Talk[NumbersBy]:
        """Return numbers of ended runs by task or by queue."""
        return self.count(f"numbers/{what}", {"period": period, **only}, NumbersBy)

    def depth(self, queue: str, period: Seconds, step: Seconds) -> Talk[DepthSeries]:
        """Return how much stood in a queue."""
        return self.count(queue_path(queue, "depth"), {"period": period, "step": step}, DepthSeries)

    def error_groups(self, wanted: Mapping[str, Any]) -> Talk[list[ErrorGroup]]:
        """Return groups of errors."""
        answer = yield from ask(Ask(path="errors", query=_query(wanted)), self.patience)
        return _listed(decode(answer, dict[str, msgspec.Raw]), "errors", ErrorGroup)

    def resolve(self, group: int, *, release: str, reason: str) -> Talk[ErrorGroupAnswer]:
        """Resolve a group of errors; a release is named only where one is given, for servers that know of none."""
        told = {"reason": reason} | ({"release": release} if release else {})
        return self.triage(group, "resolution", told)

    def ignore(
        self, group: int, *, until: datetime | None, above: int | None, reason: str
    ) -> Talk[ErrorGroupAnswer]:
        """Ignore a group of errors; a number likewise."""
        told = {"until": until, "reason": reason} | ({} if above is None else {"above": above})
        return self.triage(group, "ignoring", told)

    def triage(self, group: int, act: str, told: Mapping[str, Any]) -> Talk[ErrorGroupAnswer]:
        """Resolve, ignore or reopen a group of errors."""
        return decode((yield from ask(_act(f"errors/{group}/{act}", told), self.patience)), ErrorGroupAnswer)


def filters(*, since: datetime | None, page_size: int, **given: str | None) -> dict[str, str]:
    """Return the query of a list.

    Raises:
        ValueError: the moment has no offset.
    """
    query = {name: value for name, value in given.items() if value is not None}
    if since is not None:
        if since.tzinfo is None:
            raise ValueError(f"since={since!r} must have its offset: the server does not know your zone.")
        query["since"] = since.isoformat()
    return query | {"limit": str(page_size)}


def run_path(run: AnyRun, part: str = "") -> str:
    """Return the address of a run, or of what belongs to it.

    Raises:
        ValueError: the id is none.
    """
    named = run if isinstance(run, UUID | str) else run.id
    return f"runs/{named if isinstance(named, UUID) else UUID(named)}/{part}".rstrip("/")


def queue_path(queue: str, part: str = "") -> str:
    """Return the address of a queue, or of an act on it."""
    return f"queues/{quote(queue, safe='')}/{part}".rstrip("/")


def task_path(task_id: str) -> str:
    """Return the address of a task."""
    return f"tasks/{quote(task_id, safe='')}"


def flow_path(flow: UUID | str) -> str:
    """Return the address of a flow.

    Raises:
        ValueError: the id is none.
    """
    return f"flows/{flow if isinstance(flow, UUID) else UUID(flow)}"


def _outcome(run: ShownRun) -> Any:
    if run.status == Status.COMPLETED:
        return run.result
    if run.status == Status.EXPIRED:
        raise RunExpired
    kind = RunCancelled if run.status == Status.CANCELLED else TaskFailed
    raise kind(run.id, status=run.status, reason=run.reason, error=run.error)


def _listed(body: Mapping[str, msgspec.Raw], name: str, kind: type[T]) -> list[T]:
    return msgspec.json.decode(body[name], type=list[kind])  # type: ignore[valid-type]  # a type at run time


def _plain(new: NewRun) -> dict[str, Any]:
    return {"task_id": new.task_id, "payload": new.payload, "options": _seconds(new.options)}


def _node(new: NewNode) -> dict[str, Any]:
    call = _plain(NewRun(new.task_id, new.payload, new.options))
    return call | {"name": new.name, "after": list(new.after), "on_failure": new.on_failure}


def _query(told: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in _seconds(_given(told), whole=True).items()}


def _seconds(told: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
    kind = int if whole else float
    return {
        name: kind(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in told.items()
    }


def _given(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def _creation(path: str, body: Mapping[str, Any], *, key: str | None) -> Ask:
    """Return a request that the API does once, however often it comes."""
    return replace(_act(path, body), headers={"Idempotency-Key": key or uuid4().hex})


def _act(path: str, body: Mapping[str, Any], *, repeatable: bool = True) -> Ask:
    written = codec.encode(body, what="", limit=MOST_BYTES).encode()
    return Ask(method="POST", path=path, body=written, repeatable=repeatable)
