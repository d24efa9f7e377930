"""The worker protocol: what a worker in any language asks and says (docs: reference/worker-protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation
from openqueue.api.problems import Refusal
from openqueue.api.runs import QueueName, Text
from openqueue.api.throttles import WORKER
from openqueue.api.views import ApiView
from openqueue.control.callers import Right
from openqueue.control.remote import claims, crew, endings, leases, notes
from openqueue.control.remote.claims import Batch
from openqueue.control.remote.crew import Pulse, Registered
from openqueue.control.remote.endings import DETAILS, Ending, Failure
from openqueue.control.remote.notes import Noted

MOST: Final = 1_000
"""Attempts that one request speaks of."""
REFUSED: Final = (403, 409, 413, 415)
Lease = Annotated[
    str, msgspec.Meta(min_length=1, max_length=leases.LONGEST, description="As the claim gave it.")
]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=315_360_000)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^[!-~]+$")]
SOME: Final = msgspec.Meta(min_length=1, max_length=MOST)
Names = Annotated[list[Text], SOME]


class NewWorker(msgspec.Struct, forbid_unknown_fields=True):
    """A worker process that begins."""

    queues: Annotated[list[QueueName], msgspec.Meta(min_length=1, max_length=200)]
    tasks: Names
    """Ids of the tasks that it has bodies for."""
    language: Word
    """As people see it: node, go, sh."""
    host: Annotated[str, msgspec.Meta(max_length=200)] = ""
    pid: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    version: Annotated[str, msgspec.Meta(max_length=40)] = ""
    release: Annotated[str, msgspec.Meta(max_length=60, pattern=r"^[!-~]*$")] = ""
    """Of the project, as it tells its releases apart: a version, a tag or a commit. Errors are counted by it."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    """How many bodies it runs at a time."""
    labels: Annotated[list[Word], msgspec.Meta(max_length=50)] = []
    """What its host has; a task whose definition needs a label is given to no other."""


class Claiming(msgspec.Struct, forbid_unknown_fields=True):
    """What a worker has room for."""

    worker: UUID
    limit: Annotated[int, msgspec.Meta(ge=1, le=claims.MOST)] = 1
    wait: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    """Seconds to wait for the first run, up to the longest_wait of the registration."""
    leases: Annotated[list[Lease], msgspec.Meta(max_length=10_000)] | None = None
    """All that it holds, as in a heartbeat; of a worker that sends one claim after the other."""


class Beating(msgspec.Struct, forbid_unknown_fields=True):
    """A sign of life."""

    worker: UUID
    leases: Annotated[list[Lease], msgspec.Meta(max_length=10_000)] | None = None
    """All that it holds. What it was given beside them, in an answer that was lost, goes back to the queue."""
    busy: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    """Bodies that run, where leases are not named."""
    stopping: bool = False
    """It claims nothing more."""
    memory: Annotated[int, msgspec.Meta(ge=0, le=2**60)] | None = None
    """Bytes of its host's memory that it takes, where it tells."""


class Leaving(msgspec.Struct, forbid_unknown_fields=True):
    """A worker that ends in order."""

    worker: UUID


class Progressing(msgspec.Struct, forbid_unknown_fields=True):
    """How far an attempt is."""

    lease: Lease
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    message: str = ""


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One line of a log."""

    text: str
    level: Annotated[int, msgspec.Meta(ge=0, le=100)] = 20
    """As in Python: 10 debug, 20 info, 30 warning, 40 error."""
    age: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    """Seconds since it was written."""


class Logging(msgspec.Struct, forbid_unknown_fields=True):
    """Lines of one attempt."""

    lease: Lease
    lines: Annotated[list[Line], SOME]


class Completion(msgspec.Struct, forbid_unknown_fields=True):
    """An attempt that succeeded."""

    lease: Lease
    result: Any = None


class FailedAttempt(msgspec.Struct, forbid_unknown_fields=True):
    """An attempt that did not."""

    lease: Lease
    message: str
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "Error"
    traceback: str = ""
    retry: bool = True
    """Whether another attempt may help; the task's max_attempts holds all the same."""
    retry_in: Seconds | None = None
    """Seconds until the next attempt; otherwise the task's backoff says."""
    timed_out: bool = False
    cancelled: bool = False
    """The body stopped because a heartbeat said that somebody had asked for it."""


class GivenBack(msgspec.Struct, forbid_unknown_fields=True):
    """An attempt that is given back."""

    lease: Lease
    begun: bool = True
    """Whether its body began: one that never did keeps its time to live."""


class AllProgress(msgspec.Struct, forbid_unknown_fields=True):
    """Progress of attempts."""

    progress: Annotated[list[Progressing], SOME]


class Logs(msgspec.Struct, forbid_unknown_fields=True):
    """Log lines of attempts."""

    logs: Annotated[list[Logging], SOME]


class Completions(msgspec.Struct, forbid_unknown_fields=True):
    """Attempts that succeeded."""

    completions: Annotated[list[Completion], SOME]


class Failures(msgspec.Struct, forbid_unknown_fields=True):
    """Attempts that failed."""

    failures: Annotated[list[FailedAttempt], SOME]


class Releases(msgspec.Struct, forbid_unknown_fields=True):
    """Attempts that are given back."""

    releases: Annotated[list[GivenBack], SOME]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """One answer for each, in the order of the request."""

    answers: Sequence[Ending]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllNoted:
    """One answer for each, in the order of the request."""

    answers: Sequence[Noted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A worker that has ended."""

    released: int
    """Runs that it still held: given back, attempts refunded."""


def operation(id: str, body: type[msgspec.Struct], answer: Any, *, status: int = 200) -> dict[str, Operation]:
    """Return the one operation of a route of this protocol."""
    return {"post": Operation(id=id, right=Right.WORK, body=body, answers={status: answer}, problems=REFUSED)}


class WorkerView(ApiView):
    """A route of the worker protocol."""

    section = "worker protocol"
    counted_as = WORKER


class Registrations(WorkerView):
    """Workers that begin."""

    operations = operation("register_worker", NewWorker, Registered, status=201)

    def post(self, request: Request) -> Response:
        """Register a worker process; it is listed beside the others, under a lease of its own."""
        new = self.body(request, NewWorker)
        return Response(crew.register(self.caller(request), **msgspec.structs.asdict(new)), status=201)


class Claims(WorkerView):
    """Runs that a worker takes."""

    operations = operation("claim_runs", Claiming, Batch)

    def post(self, request: Request) -> Response:
        """Claim due runs, and renew the worker's lease; wait for the first if asked to."""
        asked = self.body(request, Claiming)
        return Response(
            claims.claim(
                asked.worker,
                limit=asked.limit,
                wait=asked.wait,
                leases=asked.leases,
                caller=self.caller(request),
            )
        )


class Heartbeats(WorkerView):
    """Signs of life."""

    operations = operation("worker_heartbeat", Beating, Pulse)

    def post(self, request: Request) -> Response:
        """Renew a worker's lease, which guards all that it holds; hear what to stop."""
        asked = self.body(request, Beating)
        return Response(
            crew.heartbeat(
                asked.worker,
                leases=asked.leases,
                busy=asked.busy,
                stopping=asked.stopping,
                memory=asked.memory,
                caller=self.caller(request),
            )
        )


class Departures(WorkerView):
    """Workers that end."""

    operations = operation("leave", Leaving, Left)

    def post(self, request: Request) -> Response:
        """End a worker in order; what it still holds is given back."""
        asked = self.body(request, Leaving)
        return Response(Left(released=crew.leave(asked.worker, caller=self.caller(request))))


class Progress(WorkerView):
    """How far attempts are."""

    operations = operation("report_progress", AllProgress, AllNoted)

    def post(self, request: Request) -> Response:
        """Tell how far attempts are; one a second is kept of each."""
        said = self.body(request, AllProgress).progress
        held = leases.read_all([one.lease for one in said], what="progress", caller=self.caller(request))
        return answered(AllNoted(answers=notes.progress(held, [(one.percent, one.message) for one in said])))


class LogLines(WorkerView):
    """What attempts log."""

    operations = operation("log_lines", Logs, AllNoted)

    def post(self, request: Request) -> Response:
        """Keep log lines of attempts: 8 KiB each, 1,000 an attempt."""
        said = self.body(request, Logs).logs
        held = leases.read_all([one.lease for one in said], what="logs", caller=self.caller(request))
        lines = [[(line.level, line.text, line.age) for line in one.lines] for one in said]
        return answered(AllNoted(answers=notes.log(held, lines)))


class CompletionList(WorkerView):
    """Attempts that succeed."""

    operations = operation("complete_runs", Completions, Endings)

    def post(self, request: Request) -> Response:
        """End attempts with their results; sent again, it is answered the same."""
        said = self.body(request, Completions).completions
        held = leases.read_all([one.lease for one in said], what="completions", caller=self.caller(request))
        return answered(Endings(answers=endings.complete(held, [one.result for one in said])))


class FailureList(WorkerView):
    """Attempts that fail."""

    operations = operation("fail_runs", Failures, Endings)

    def post(self, request: Request) -> Response:
        """End attempts that failed, to be tried again as their task says; sent again, it is answered the same."""
        said = self.body(request, Failures).failures
        held = leases.read_all([one.lease for one in said], what="failures", caller=self.caller(request))
        failures = [msgspec.convert(one, Failure, from_attributes=True) for one in said]
        return answered(Endings(answers=endings.fail(held, failures)))


class ReleaseList(WorkerView):
    """Attempts that are given back."""

    operations = operation("release_runs", Releases, Endings)

    def post(self, request: Request) -> Response:
        """Give attempts back, refunded: others may have them at once."""
        said = self.body(request, Releases).releases
        held = leases.read_all([one.lease for one in said], what="releases", caller=self.caller(request))
        return answered(Endings(answers=endings.release(held, [one.begun for one in said])))


def answered(told: Endings | AllNoted) -> Response:
    """Answer each; where nothing was accepted, refuse the request."""
    if not any(one.accepted for one in told.answers):
        code = told.answers[0].code
        raise Refusal(409, code, DETAILS[code])
    return Response(told)
