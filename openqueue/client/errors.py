"""What a client raises, by the code of the API's problem; a docstring is the default message and names the remedy.

OpenQueueError
├── ClientError
│   ├── NoAnswer              nobody answered, or the answer was lost
│   ├── StrangeAnswer         what answered is not the API
│   ├── Refused               the API said no; has status, code, detail, errors, run, retry_after
│   │   ├── RequestInvalid
│   │   ├── NotAuthenticated
│   │   ├── NotAllowed
│   │   ├── NotFound
│   │   │   ├── RunNotFound
│   │   │   ├── QueueNotFound
│   │   │   └── TaskNotFound
│   │   ├── Conflict          the state stands in the way
│   │   │   ├── AlreadyFinished
│   │   │   ├── NotFinished
│   │   │   ├── RunLocked
│   │   │   └── KeyReused
│   │   ├── Throttled
│   │   ├── Unsupported
│   │   └── Unavailable
│   └── SearchStopped
├── TaskFailed                raised by wait(), as by run.wait() in Django; so are RunExpired and WaitTimeout
│   └── RunCancelled
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openqueue.client.values import Problem, Run
from openqueue.errors import FieldError, OpenQueueError, TaskFailed


class ClientError(OpenQueueError):
    """The API could not do what was asked. The kind of error says why, and whether to ask again."""


class NoAnswer(ClientError):
    """The API did not answer. Is the address right, and the server up? What was asked may have been done."""


class StrangeAnswer(ClientError):
    """What answered is not OpenQueue's API. Give the address of its include: https://example.com/openqueue/."""


class Refused(ClientError):
    """The API refused. `.code` says why, `.detail` and `.errors` what to change."""

    def __init__(self, problem: Problem, *, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.status: int = problem.status
        self.code: str = problem.code
        """One of the codes in the reference of the API."""
        self.detail: str = problem.detail
        self.errors: Sequence[FieldError] = [FieldError(one.path, one.reason) for one in problem.errors]
        self.run: Run | None = problem.run
        """The run as it is now, where its state stands in the way."""
        self.retry_after = retry_after
        """Seconds, where the API named them."""

    def __str__(self) -> str:
        faults = "".join(f"; {path} {reason}" for path, reason in self.errors)
        return f"{self.status} {self.code}: {self.detail}{faults}"


class RequestInvalid(Refused):
    """The request has faults. `.errors` names each field and why."""


class NotAuthenticated(Refused):
    """No such token. It may be wrong, expired or revoked: make one with `manage.py openqueue_tokens create`."""


class NotAllowed(Refused):
    """The token has no right to that. Use one with the scope that the reference names."""


class NotFound(Refused):
    """There is nothing at this address. It may be gone, or not be there for this token."""


class RunNotFound(NotFound):
    """There is no such run. Retention deleted it, or this token does not see its queue."""


class QueueNotFound(NotFound):
    """There is no such queue. Check the name, and the queues of the token."""


class TaskNotFound(NotFound):
    """There is no such task. Check the id with `client.tasks()`; the server may be older than this program."""


class Conflict(Refused):
    """The state stands in the way. `.run` shows it where it is a run's."""


class AlreadyFinished(Conflict):
    """The run has ended already. `.run` shows how."""


class NotFinished(Conflict):
    """Only a run that has ended is retried. Wait for its end, or cancel it first."""


class RunLocked(Conflict):
    """Another transaction holds the run's row. Try again when it has ended."""


class KeyReused(Conflict):
    """The idempotency key came with another request before. Send a new key with a new request."""


class Throttled(Refused):
    """Too many requests. Ask again after `.retry_after` seconds, or have API_RATES raised."""


class Unsupported(Refused):
    """This server cannot do that. `.detail` says what its runtime or installation lacks."""


class Unavailable(Refused):
    """The server could not answer now. Ask again later."""


class SearchStopped(ClientError):
    """The server's database took too long to search. Narrow the search: a queue, a task, a shorter time."""


class RunCancelled(TaskFailed):
    """The run was cancelled. Its timeline says by whom."""


BY_CODE: Final[dict[str, type[Refused]]] = {
    "not_authenticated": NotAuthenticated,
    "not_allowed": NotAllowed,
    "run_not_found": RunNotFound,
    "queue_not_found": QueueNotFound,
    "task_not_found": TaskNotFound,
    "already_finished": AlreadyFinished,
    "not_finished": NotFinished,
    "run_locked": RunLocked,
    "idempotency_key_reused": KeyReused,
    "throttled": Throttled,
    "database_unavailable": Unavailable,
}
BY_STATUS: Final[dict[int, type[Refused]]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    429: Throttled,
    501: Unsupported,
}
"""For codes that a newer server has and this client does not know."""


def refusal(problem: Problem, *, retry_after: float | None = None) -> Refused:
    """Return the error of a problem."""
    usual = Unavailable if problem.status >= 500 else RequestInvalid
    kind = BY_CODE.get(problem.code) or BY_STATUS.get(problem.status, usual)
    return kind(problem, retry_after=retry_after)
