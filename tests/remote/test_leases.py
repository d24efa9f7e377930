"""Who may speak of an attempt, how often, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from openqueue import trigger
from openqueue.models import Claim, Outbox, Run, Worker
from openqueue.processes.sweeps.reaper import Reaper
from tests.remote.program import TASK, Remote, answer_of, kinds, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def work(remote: Remote) -> dict[str, Any]:
    trigger(TASK, {"path": "a.png"})
    (one,) = remote.claim()
    return one


def lose(remote: Remote) -> None:
    """Let the worker's lease end, and the reaper see it."""
    Worker.objects.filter(pk=remote.id).update(lease_until=timezone.now() - timedelta(seconds=1))
    Reaper(trusting=True).step()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("completions", {"result": 1}), ("failures", {"message": "no"}), ("failures", {"message": "n", "retry": False}),
        ("releases", {}),
    ],
)  # fmt: skip
def test_the_same_said_again_is_answered_the_same_and_done_once(
    remote: Remote, work: dict[str, Any], kind: str, said: Any
):
    first = remote.say(kind, {"lease": work["lease"], **said})
    before = Run.objects.values().get(), kinds(work["run"])
    again = remote.say(kind, {"lease": work["lease"], **said})
    assert (again.status_code, again.json()) == (200, first.json())
    assert (Run.objects.values().get(), kinds(work["run"])) == before


def test_a_result_that_was_too_large_fails_the_run_and_is_answered_the_same_again(
    remote: Remote, work: dict[str, Any], settings: Any
):
    settings.OPENQUEUE = {"RESULT_LIMIT": 100}
    for _ in range(2):
        assert answer_of(remote.complete(work, "x" * 101)) == (True, "failed", "")
    row = Run.objects.get()
    assert (row.reason, row.error["type"]) == ("result_invalid", "openqueue.errors.ResultTooLarge")


def test_what_was_ended_otherwise_cannot_be_ended_again(remote: Remote, work: dict[str, Any]):
    remote.complete(work, 1)
    assert refusal(remote.fail(work)) == (409, "already_settled")
    assert refusal(remote.say("releases", {"lease": work["lease"]})) == (409, "already_settled")
    assert Run.objects.get().status == "completed"


def test_a_run_that_was_given_back_cannot_be_completed(remote: Remote, work: dict[str, Any]):
    remote.say("releases", {"lease": work["lease"]})
    assert refusal(remote.complete(work)) == (409, "already_settled")
    row = Run.objects.get()
    assert (row.status, row.attempt) == ("queued", 0)


def test_late_the_result_is_refused_and_leaves_one_event(remote: Remote, work: dict[str, Any]):
    lose(remote)
    for _ in range(2):
        assert refusal(remote.complete(work, 1)) == (409, "lease_lost")
        assert refusal(remote.say("progress", {"lease": work["lease"]})) == (409, "lease_lost")
        assert refusal(remote.say("logs", {"lease": work["lease"], "lines": [{"text": "a"}]})) == (
            409,
            "lease_lost",
        )
    row = Run.objects.get()
    assert (row.status, row.crash_count, row.result) == ("queued", 1, None)
    assert kinds(row.pk) == ["triggered", "started", "worker_lost", "late_result_discarded"]
    assert refusal(remote.beat()) == (409, "worker_gone")


def test_a_lost_attempt_is_charged_as_a_crash_and_the_third_loss_fails_the_run(
    remote: Remote, work: dict[str, Any]
):
    for _ in range(2):
        lose(remote)
        remote = Remote(remote.api)
        (work,) = remote.claim()
    assert work["attempt"] == 3
    lose(remote)
    row = Run.objects.get()
    assert (row.status, row.reason, row.crash_count) == ("failed", "worker_lost", 3)


@pytest.mark.parametrize("kind", ["completions", "failures", "releases", "progress", "logs"])
def test_a_lease_is_no_use_to_another_credential_and_cannot_be_made_up(
    remote: Remote, api: Any, work: dict[str, Any], kind: str
):
    lease = work["lease"]
    middle = len(lease) // 2
    forged = [
        lease[:middle] + ("A" if lease[middle] != "A" else "B") + lease[middle + 1 :],
        lease[:-4],
        "oql_",
        "x" * 20,
    ]
    more = {"failures": {"message": ""}, "logs": {"lines": [{"text": ""}]}}.get(kind, {})
    other = api("admin")
    assert refusal(other.post(f"worker/{kind}", {kind: [{"lease": lease, **more}]})) == (403, "lease_foreign")
    for text in forged:
        assert refusal(remote.say(kind, {"lease": text, **more})) == (403, "lease_foreign"), text
        both = [{"lease": lease, **more}, {"lease": text, **more}]
        assert refusal(remote.say(kind, *both)) == (403, "lease_foreign")
    assert refusal(other.post("worker/heartbeats", {"worker": remote.id})) == (409, "worker_gone")
    assert refusal(other.post("worker/claims", {"worker": remote.id})) == (409, "worker_gone")
    assert refusal(other.post("worker/departures", {"worker": remote.id})) == (409, "worker_gone")
    assert (Run.objects.get().status, Claim.objects.count()) == ("running", 1)


def test_leases_outlive_a_change_of_the_secret_key(remote: Remote, work: dict[str, Any], settings: Any):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert answer_of(remote.complete(work)) == (True, "completed", "")


def test_a_lease_named_twice_is_a_fault_and_nothing_is_done(remote: Remote, work: dict[str, Any]):
    answer = remote.say("completions", {"lease": work["lease"]}, {"lease": work["lease"]})
    assert answer.json()["errors"] == [
        {"path": "completions[1].lease", "reason": "is that of completions[0] too"}
    ]
    assert Run.objects.get().status == "running"


def test_of_a_batch_each_is_answered_for_itself(remote: Remote, work: dict[str, Any]):
    lose(remote)
    again = Remote(remote.api)
    trigger(TASK, {"path": "b.png"})
    (fresh,) = [one for one in again.claim(5) if one["attempt"] == 1]
    answer = again.say("completions", {"lease": work["lease"]}, {"lease": fresh["lease"], "result": 2})
    assert [(one["accepted"], one["code"]) for one in answer.json()["answers"]] == [
        (False, "lease_lost"),
        (True, ""),
    ]


def test_a_heartbeat_tells_which_leases_are_lost_and_gives_back_what_is_not_named(
    remote: Remote, work: dict[str, Any]
):
    pulse = remote.beat(leases=[work["lease"]]).json()
    assert pulse == {"command": "", "cancel": [], "lost": [], "released": 0}
    remote.say("releases", {"lease": work["lease"]})
    assert remote.beat(leases=[work["lease"]]).json()["lost"] == [work["lease"]]
    (work,) = remote.claim()
    assert remote.beat(leases=[]).json()["released"] == 0  # its claim may still be on its way
    Claim.objects.update(claimed_at=timezone.now() - timedelta(seconds=11))
    assert remote.beat(leases=[]).json()["released"] == 1
    assert (Run.objects.get().attempt, Outbox.objects.count()) == (0, 1)


def test_what_a_lost_answer_to_a_claim_brought_goes_back_with_the_next_claim(
    remote: Remote, work: dict[str, Any]
):
    (again,) = remote.claim(leases=[])
    assert (again["run"], again["attempt"]) == (work["run"], 1)
    assert refusal(remote.complete(work)) == (409, "lease_lost")
    assert answer_of(remote.complete(again)) == (True, "completed", "")


def test_who_leaves_gives_back_what_it_holds(remote: Remote, work: dict[str, Any]):
    assert remote.api.post("worker/departures", {"worker": remote.id}).json() == {"released": 1}
    row = Run.objects.get()
    assert (row.status, row.attempt, row.crash_count) == ("queued", 0, 0)
    assert Worker.objects.get().state == "stopped"
    assert refusal(remote.beat()) == (409, "worker_gone")
