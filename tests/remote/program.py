"""A worker over HTTP as its own code sees it, without a server in between."""

from __future__ import annotations

from typing import Any

from openqueue.models import RunEvent
from tests.api.conftest import Api

DEFINITION: dict[str, Any] = {
    "queue": "media",
    "description": "Make a small picture.",
    "max_attempts": 3,
    "backoff": 7,
    "schema": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "width": {"type": "integer", "minimum": 1}},
        "required": ["path"],
        "additionalProperties": False,
    },
}
TASK = "media.thumbnail"


class Remote:
    """A worker that was registered."""

    def __init__(self, api: Api, **more: Any) -> None:
        self.api = api
        new = {"queues": ["media"], "tasks": [TASK], "language": "test", "slots": 100} | more
        answer = api.post("worker/registrations", new)
        assert answer.status_code == 201, answer.json()
        self.facts = answer.json()
        self.id = self.facts["worker"]

    def claim(self, limit: int = 1, **more: Any) -> list[dict[str, Any]]:
        """Return the runs that it was given."""
        return self.claimed(limit, **more)["runs"]  # type: ignore[no-any-return]  # JSON

    def claimed(self, limit: int = 1, **more: Any) -> dict[str, Any]:
        """Return the whole answer."""
        answer = self.api.post("worker/claims", {"worker": self.id, "limit": limit} | more)
        assert answer.status_code == 200, answer.json()
        return answer.json()  # type: ignore[no-any-return]  # JSON

    def say(self, what: str, *items: dict[str, Any]) -> Any:
        """Send completions, failures, releases, progress or logs."""
        return self.api.post(f"worker/{what}", {what: list(items)})

    def complete(self, work: dict[str, Any], result: Any = None) -> Any:
        return self.say("completions", {"lease": work["lease"], "result": result})

    def fail(self, work: dict[str, Any], **more: Any) -> Any:
        return self.say("failures", {"lease": work["lease"], "message": "no such file"} | more)

    def beat(self, **more: Any) -> Any:
        return self.api.post("worker/heartbeats", {"worker": self.id} | more)


def define(api: Api, task_id: str = TASK, **changed: Any) -> Any:
    """Put a definition; None takes a field away."""
    body = {name: value for name, value in (DEFINITION | changed).items() if value is not None}
    path = f"/openqueue/v1/worker/tasks/{task_id}"
    return api.client.put(path, body, content_type="application/json", headers=api.headers)


def kinds(run: Any) -> list[str]:
    """Return the kinds of a run's events, in order."""
    return list(RunEvent.objects.filter(run_id=run).order_by("pk").values_list("kind", flat=True))


def answer_of(response: Any) -> tuple[bool, str, str]:
    """Return whether the only attempt was accepted, its run's status, and the code."""
    (one,) = response.json()["answers"]
    return one["accepted"], one["status"], one["code"]


def refusal(response: Any) -> tuple[int, str]:
    """Return status and code of a problem."""
    return response.status_code, response.json()["code"]
