"""Checks a server, or a worker, against the worker protocol. It needs Python and nothing else: no Django, no package.

A server, with a token of the scopes worker, trigger, read and control:

    python -m openqueue.testing.worker_protocol --url https://shop.example/openqueue --token oq_...

A worker that runs, in whatever language. It serves a queue with three tasks, which it defines itself:

    conformance.echo   its result is its payload, {"value": anything}; its progress says 50, its log "echo"
    conformance.fail   fails each time; two attempts, a backoff of 0 seconds
    conformance.wait   takes {"seconds": n}; ends early, as cancelled, when that is asked for

    python -m openqueue.testing.worker_protocol --url ... --token oq_... --worker QUEUE

It prints a line for each check, and ends with 1 when one failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from uuid import uuid4

PATIENCE: Final = 30.0
"""Seconds that a worker has for what it is asked to do."""
ODD: Final[dict[str, Any]] = {
    "text": 'a "b" \\ / \u00e9 \U0001f600',
    "long": 2**53,
    "nested": [{"payload": {"meta": None}}],
    "none": None,
}
"""Values that careless readers of JSON spoil; the number is the longest that JavaScript's keep."""
ODDER: Final = ODD | {"long": 2**60}
"""What a server keeps as well."""
Check = Callable[["Api"], None]


class Answer(NamedTuple):
    """What a server said."""

    status: int
    body: Any

    @property
    def refusal(self) -> tuple[int, str]:
        """Return the status and the code of a problem."""
        return self.status, self.body.get("code", "") if isinstance(self.body, dict) else ""


class Api:
    """A server as the holder of one token sees it."""

    def __init__(self, url: str, token: str, *, queue: str) -> None:
        self.url = url.rstrip("/") + "/v1/"
        self.token = token
        self.queue = queue

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send one request."""
        request = urllib.request.Request(  # noqa: S310  # whoever runs this gives the address
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
                return Answer(answer.status, json.loads(answer.read() or b"null"))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read() or b"null"))

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must be done; return its answer."""
        answer = self.ask(method, path, body)
        must(answer.status < 300, f"{method} {path} was answered {answer.status}: {answer.body}")
        return answer.body

    def trigger(self, task: str, payload: Any, **options: Any) -> str:
        """Create a run and return its id."""
        new = {"task_id": task, "payload": payload, "options": options}
        return str(self.done("POST", "runs", new)["id"])

    def run(self, run: str) -> Any:
        return self.done("GET", f"runs/{run}")

    def ended(self, run: str) -> Any:
        """Wait until a run has ended, and return it."""
        until = time.monotonic() + PATIENCE
        while True:
            row = self.run(run)
            if row["finished_at"] is not None:
                return row
            must(
                time.monotonic() < until, f"run {run} has not ended within {PATIENCE:.0f} s: {row['status']}"
            )
            time.sleep(0.1)


class Failed(Exception):
    """A check found something else than the protocol says."""


def must(holds: bool, otherwise: str) -> None:
    """Raise Failed unless it holds."""
    if not holds:
        raise Failed(otherwise)


def same(found: Any, wanted: Any, what: str) -> None:
    must(found == wanted, f"{what} is {found!r}; it should be {wanted!r}")


# --- a server -------------------------------------------------------------------------------------------------------


class Held(NamedTuple):
    """A worker that holds one run."""

    worker: str
    work: Any

    @property
    def lease(self) -> str:
        return str(self.work["lease"])


def task_of(api: Api) -> str:
    return f"conformance.{api.queue}"


@contextmanager
def held(api: Api, *, payload: Any = None, **definition: Any) -> Iterator[Held]:
    """Define a task, register a worker for it, trigger and claim one run; leave in the end."""
    task = task_of(api)
    api.done("PUT", f"worker/tasks/{task}", {"queue": api.queue, "backoff": 0, **definition})
    worker = register(api)
    try:
        run = api.trigger(task, {} if payload is None else payload)
        given = api.done("POST", "worker/claims", {"worker": worker, "limit": 1, "wait": 5})["runs"]
        same([one["run"] for one in given], [run], "what the claim gave")
        yield Held(worker, given[0])
    finally:
        api.ask("POST", "worker/departures", {"worker": worker})


def register(api: Api, **more: Any) -> str:
    """Register a worker for the task of this check, which is defined."""
    new = {"queues": [api.queue], "tasks": [task_of(api)], "language": "conformance", "slots": 10} | more
    return str(api.done("POST", "worker/registrations", new)["worker"])


def a_claim_gives_the_payload_as_it_was(api: Api) -> None:
    with held(api, payload={"value": ODDER}) as one:
        same(one.work["payload"], {"value": ODDER}, "the payload")
        same(
            (one.work["attempt"], one.work["task"], one.work["queue"]),
            (1, task_of(api), api.queue),
            "the attempt",
        )


def what_needs_no_parser_comes_before_the_payload(api: Api) -> None:
    with held(api) as one:
        names = list(one.work)
        same(names[:3], ["lease", "run", "task"], "the first members of a run")
        same(names[-2:], ["payload", "meta"], "the last ones")


def a_completion_may_be_sent_again(api: Api) -> None:
    with held(api) as one:
        said = {"completions": [{"lease": one.lease, "result": ODDER}]}
        first, again = (api.ask("POST", "worker/completions", said) for _ in range(2))
        same(first.body["answers"][0]["status"], "completed", "the status")
        same(again, first, "the answer to the same again")
        same(api.run(one.work["run"])["result"], ODDER, "the result")


def a_failure_may_be_sent_again_and_is_charged_once(api: Api) -> None:
    with held(api, backoff=3600) as one:
        said = {"failures": [{"lease": one.lease, "message": "no"}]}
        first, again = (api.ask("POST", "worker/failures", said) for _ in range(2))
        same(first.body["answers"][0]["status"], "retrying", "the status")
        same(again, first, "the answer to the same again")
        same(api.run(one.work["run"])["attempt"], 1, "the number of the attempt")


def a_failure_for_good_ends_the_run(api: Api) -> None:
    with held(api) as one:
        api.done(
            "POST", "worker/failures", {"failures": [{"lease": one.lease, "message": "no", "retry": False}]}
        )
        same(api.run(one.work["run"])["status"], "failed", "the status")


def what_was_given_back_is_refunded(api: Api) -> None:
    with held(api) as one:
        api.done("POST", "worker/releases", {"releases": [{"lease": one.lease}]})
        (again,) = api.done("POST", "worker/claims", {"worker": one.worker, "wait": 5})["runs"]
        same((again["run"], again["attempt"]), (one.work["run"], 1), "the attempt that comes again")
        late = api.ask("POST", "worker/completions", {"completions": [{"lease": one.lease}]})
        same(late.refusal, (409, "already_settled"), "the answer to the old lease")


def an_answer_that_was_lost_costs_no_attempt(api: Api) -> None:
    with held(api) as one:
        (again,) = api.done("POST", "worker/claims", {"worker": one.worker, "leases": [], "wait": 5})["runs"]
        same((again["run"], again["attempt"]), (one.work["run"], 1), "the attempt that comes again")
        late = api.ask("POST", "worker/completions", {"completions": [{"lease": one.lease}]})
        same(late.refusal, (409, "lease_lost"), "the answer to the old lease")
        lost = api.done(
            "POST", "worker/heartbeats", {"worker": one.worker, "leases": [one.lease, again["lease"]]}
        )
        same(lost["lost"], [one.lease], "what the heartbeat calls lost")


def a_lease_that_was_made_up_is_refused(api: Api) -> None:
    with held(api) as one:
        for lease in (one.lease[:-2] + ("AA" if one.lease[-2:] != "AA" else "BB"), "oql_nothing"):
            for kind, more in (
                ("completions", {}),
                ("failures", {"message": ""}),
                ("releases", {}),
                ("progress", {}),
            ):
                answer = api.ask("POST", f"worker/{kind}", {kind: [{"lease": lease, **more}]})
                same(answer.refusal, (403, "lease_foreign"), f"the answer to {kind}")
        same(api.run(one.work["run"])["status"], "running", "the status")


def a_cancelled_run_is_told_in_the_heartbeat(api: Api) -> None:
    with held(api) as one:
        api.done("POST", f"runs/{one.work['run']}/cancellation", {})
        told = api.done("POST", "worker/heartbeats", {"worker": one.worker, "leases": [one.lease]})
        same(told["cancel"], [one.work["run"]], "what to cancel")
        api.done(
            "POST", "worker/failures", {"failures": [{"lease": one.lease, "message": "", "cancelled": True}]}
        )
        same(api.run(one.work["run"])["status"], "cancelled", "the status")


def a_heartbeat_may_tell_the_memory(api: Api) -> None:
    with held(api) as one:
        for size, code in ((2**26, 200), (-1, 400)):
            beat = {"worker": one.worker, "leases": [one.lease], "memory": size}
            same(api.ask("POST", "worker/heartbeats", beat).status, code, f"the answer to {size} bytes")


def progress_and_logs_are_kept(api: Api) -> None:
    with held(api) as one:
        api.done(
            "POST", "worker/progress", {"progress": [{"lease": one.lease, "percent": 50, "message": "half"}]}
        )
        api.done("POST", "worker/logs", {"logs": [{"lease": one.lease, "lines": [{"text": "a line"}]}]})
        progress = progress_of(api, one.work["run"])
        same(progress, [{"percent": 50.0, "message": "half"}], "the progress")
        same(logs_of(api, one.work["run"]), ["a line"], "the log")


def a_batch_is_answered_one_by_one(api: Api) -> None:
    with held(api) as one:
        runs = [api.trigger(task_of(api), {}) for _ in range(9)]
        given = api.done("POST", "worker/claims", {"worker": one.worker, "limit": 9})["runs"]
        same({work["run"] for work in given}, set(runs), "what the claim gave")
        said = [{"lease": work["lease"], "result": n} for n, work in enumerate([one.work, *given])]
        answers = api.done("POST", "worker/completions", {"completions": said})["answers"]
        same(
            [a["run"] for a in answers],
            [one.work["run"], *(work["run"] for work in given)],
            "the order of answers",
        )
        must(all(answer["accepted"] for answer in answers), f"not all were accepted: {answers}")


def a_payload_that_does_not_fit_the_schema_makes_no_run(api: Api) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with held(api, payload={"n": 1}, schema=schema):
        answer = api.ask("POST", "runs", {"task_id": task_of(api), "payload": {"n": "one"}})
        same(answer.refusal, (400, "invalid_request"), "the answer")
        same([fault["path"] for fault in answer.body["errors"]], ["payload.n"], "the fault")


def who_left_is_gone(api: Api) -> None:
    api.done("PUT", f"worker/tasks/{task_of(api)}", {"queue": api.queue})
    worker = register(api)
    api.done("POST", "worker/departures", {"worker": worker})
    for path in ("worker/claims", "worker/heartbeats", "worker/departures"):
        same(api.ask("POST", path, {"worker": worker}).refusal, (409, "worker_gone"), f"the answer to {path}")


SERVER: Final[tuple[Check, ...]] = (
    a_claim_gives_the_payload_as_it_was,
    what_needs_no_parser_comes_before_the_payload,
    a_completion_may_be_sent_again,
    a_failure_may_be_sent_again_and_is_charged_once,
    a_failure_for_good_ends_the_run,
    what_was_given_back_is_refunded,
    an_answer_that_was_lost_costs_no_attempt,
    a_lease_that_was_made_up_is_refused,
    a_cancelled_run_is_told_in_the_heartbeat,
    a_heartbeat_may_tell_the_memory,
    progress_and_logs_are_kept,
    a_batch_is_answered_one_by_one,
    a_payload_that_does_not_fit_the_schema_makes_no_run,
    who_left_is_gone,
)


# --- a worker ---------------------------------------------------------------------------------------------------


def progress_of(api: Api, run: str) -> list[Any]:
    events = api.done("GET", f"runs/{run}/events")["events"]
    return [event["data"] for event in events if event["kind"] == "progress"]


def logs_of(api: Api, run: str) -> list[str]:
    return [str(line["text"]) for line in api.done("GET", f"runs/{run}/logs")["logs"]]


def it_returns_what_it_was_given(api: Api) -> None:
    values: list[Any] = [ODD, "", [], 0, None]
    for value in values:
        row = api.ended(api.trigger("conformance.echo", {"value": value}))
        same((row["status"], row["result"]), ("completed", {"value": value}), "the end")


def it_keeps_its_log(api: Api) -> None:
    run = api.trigger("conformance.echo", {"value": 1})
    api.ended(run)
    must("echo" in logs_of(api, run), f"its log is {logs_of(api, run)}; it should have the line 'echo'")


def it_fails_and_tries_again(api: Api) -> None:
    row = api.ended(api.trigger("conformance.fail", {}))
    same((row["status"], row["reason"], row["attempt"]), ("failed", "error", 2), "the end")
    must(bool(row["error"]["type"]), f"the error names no type: {row['error']}")


def it_hears_of_a_cancellation(api: Api) -> None:
    run = api.trigger("conformance.wait", {"seconds": 10 * PATIENCE})
    until = time.monotonic() + PATIENCE
    while api.run(run)["status"] != "running":
        must(time.monotonic() < until, "the run has not begun")
        time.sleep(0.1)
    api.done("POST", f"runs/{run}/cancellation", {})
    same(api.ended(run)["status"], "cancelled", "the status")


def it_does_many(api: Api) -> None:
    runs = [api.trigger("conformance.echo", {"value": n}) for n in range(20)]
    found = [api.ended(run) for run in runs]
    same([row["result"] for row in found], [{"value": n} for n in range(20)], "the results")
    same({row["attempt"] for row in found}, {1}, "the attempts")


WORKER: Final[tuple[Check, ...]] = (
    it_returns_what_it_was_given,
    it_keeps_its_log,
    it_fails_and_tries_again,
    it_hears_of_a_cancellation,
    it_does_many,
)


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; return how the process should end."""
    parser = argparse.ArgumentParser(
        prog="openqueue.testing.worker_protocol", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--url", required=True, help="address of the include, without /v1")
    parser.add_argument("--token", required=True, help="with the scopes worker, trigger, read and control")
    parser.add_argument("--worker", metavar="QUEUE", help="check the worker that serves this queue")
    given = parser.parse_args(arguments)
    failed = 0
    for check in WORKER if given.worker else SERVER:
        name = check.__name__.replace("_", " ")
        try:
            # Each server check has a queue of its own: what a failed one leaves is in nobody's way.
            check(Api(given.url, given.token, queue=given.worker or f"conformance-{uuid4().hex[:12]}"))
        except (Failed, OSError, KeyError, ValueError, TypeError) as error:
            failed += 1
            print(f"FAILED  {name}\n        {type(error).__name__}: {error}")
        else:
            print(f"ok      {name}")
    print(f"{failed} failed" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
