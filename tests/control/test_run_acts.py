"""Acts on one run: done, or refused for one of three reasons that are told apart."""

from __future__ import annotations

from uuid import uuid4

import pytest

from openqueue.control import run_acts, runs
from openqueue.control.actor import Actor
from openqueue.control.callers import Caller, Right
from openqueue.errors import (
    NotAllowed,
    PayloadInvalid,
    UnclearRun,
    UnknownTask,
    UnsupportedCapability,
    WrongState,
)
from openqueue.models import AuditLog, Outbox, Run, RunEvent
from tests.control.builders import log_in, make_run

pytestmark = pytest.mark.django_db
ADA = Caller.operator(Actor(name="ada"))
ACTS = {
    "cancel": (run_acts.cancel, {Right.CANCEL}),
    "retry": (run_acts.retry, {Right.RETRY}),
    "promote": (run_acts.promote, {Right.PROMOTE}),
    "prioritise": (lambda run, **more: run_acts.prioritise(run, priority=7, **more), {Right.PROMOTE}),
    "discard": (run_acts.discard, {Right.DISCARD}),
    "replay": (run_acts.replay, {Right.TRIGGER, Right.DATA}),
}
STATES = [
    "queued",
    "scheduled",
    "running",
    "retrying",
    "waiting",
    "completed",
    "failed",
    "cancelled",
    "expired",
]
ENDED = {"completed", "failed", "cancelled", "expired"}
ALLOWED = {
    "cancel": set(STATES) - ENDED,
    "retry": ENDED,
    "promote": {"scheduled", "retrying"},
    "prioritise": {"queued", "scheduled", "retrying"},
    "discard": ENDED,
    "replay": ENDED,
}


def nothing_changed(before: dict) -> bool:
    return before == facts()


def facts() -> dict:
    return {
        "runs": list(Run.objects.values()),
        "outbox": list(Outbox.objects.values()),
        "events": RunEvent.objects.count(),
        "audit": AuditLog.objects.count(),
    }


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_done_in_the_states_that_allow_it_and_refused_in_the_others(name, state):
    act, _ = ACTS[name]
    run, before = make_run(status=state), None
    if state in ALLOWED[name]:
        act(run, caller=ADA, reason="because")
        audit = AuditLog.objects.get()
        assert (audit.act, audit.object, audit.actor, audit.reason) == (
            f"run.{name}",
            f"run {run}",
            "ada",
            "because",
        )
        return
    before = facts()
    with pytest.raises(WrongState) as refusal:
        act(run, caller=ADA)
    assert (refusal.value.now.id, refusal.value.now.status) == (run, state)
    assert refusal.value.code in {
        "already_finished", "not_finished", "already_due", "running", "waiting", "in_a_flow",
    }  # fmt: skip
    assert nothing_changed(before)


@pytest.mark.parametrize("name", ACTS)
def test_who_lacks_the_right_is_refused_whatever_the_state(name):
    act, rights = ACTS[name]
    run = make_run(status="failed")
    before = facts()
    for right in rights:
        caller = Caller(actor=Actor(name="eve"), owner="user 1", rights=frozenset(set(Right) - {right}))
        with pytest.raises(NotAllowed, match="eve has no right to"):
            act(run, caller=caller)
    assert nothing_changed(before)


@pytest.mark.parametrize("name", ACTS)
def test_a_run_that_the_caller_does_not_see_does_not_exist(name):
    act, _ = ACTS[name]
    caller = Caller(
        actor=Actor(name="eve"), owner="user 1", rights=frozenset(Right), queues=frozenset({"mail"})
    )
    for run in (make_run(status="failed"), uuid4()):
        with pytest.raises(UnclearRun):
            act(run, caller=caller)


def test_an_act_answers_with_the_run_as_it_is_now():
    run = make_run(status="scheduled")
    answer = run_acts.promote(run, caller=ADA)
    assert (answer.outcome, answer.run.status) == ("promoted", "queued")
    answer = run_acts.prioritise(run, priority=7, caller=ADA)
    assert (answer.outcome, answer.run.priority) == ("prioritised", 7)
    assert run_acts.prioritise(run, priority=7, caller=ADA).outcome == "unchanged"
    assert run_acts.cancel(run, caller=ADA).run.status == "cancelled"


@pytest.mark.parametrize("priority", [-101, 101, 1.5, True, "7", None])
def test_a_priority_that_no_run_can_have_is_named(priority):
    run = make_run()
    with pytest.raises(PayloadInvalid, match="priority must be a whole number from -100 to 100"):
        run_acts.prioritise(run, priority=priority, caller=ADA)


def test_a_runtime_without_priorities_refuses_one(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": "tests.store.plain.PlainRuntime"}}}
    run = make_run()
    before = facts()
    with pytest.raises(UnsupportedCapability, match="keeps no priorities"):
        run_acts.prioritise(run, priority=7, caller=ADA)
    assert nothing_changed(before)


@pytest.mark.parametrize("name", ["retry"])
def test_a_runtime_that_the_settings_do_not_name_is_named(name):
    run = make_run(status="failed")
    Run.objects.update(runtime="gone")
    with pytest.raises(UnsupportedCapability, match="'gone', which the settings do not name"):
        run_acts.retry(run, caller=ADA)


def test_one_that_cannot_be_keeps_all_from_being_done(settings):
    settings.OPENQUEUE = {
        "RUNTIMES": {
            "default": {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"},
            "plain": {"BACKEND": "tests.store.plain.PlainRuntime"},
        },
        "QUEUES": {"plain": {"runtime": "plain"}},
    }
    both = [make_run(), make_run(queue="plain")]
    with pytest.raises(UnsupportedCapability):
        runs.prioritise(both, priority=7, actor=Actor(name="ada"))
    assert set(Outbox.objects.values_list("priority", flat=True)) == {0}


def test_a_discarded_run_is_gone_with_its_history_and_the_record_says_what_it_was():
    run = make_run(status="failed")
    answer = run_acts.discard(run, caller=ADA, reason="known and harmless")
    assert (answer.outcome, answer.run.id) == ("discarded", run)
    assert not Run.objects.exists()
    assert not RunEvent.objects.exists()
    audit = AuditLog.objects.get()
    assert (audit.act, audit.actor, audit.reason) == ("run.discard", "ada", "known and harmless")
    assert (audit.before["task_id"], audit.before["status"]) == ("app.add", "failed")


def test_a_replay_is_a_new_run_that_names_the_old_one():
    old = make_run(status="failed", tags=["vip"], priority=3)
    answer = run_acts.replay(old, caller=ADA, reason="once more")
    new = Run.objects.get(pk=answer.run.id)
    assert (answer.outcome, new.replay_of, new.status) == ("triggered", old, "queued")
    assert (new.payload, new.tags, new.priority, new.queue) == ({"a": 1, "b": 2}, ["vip"], 3, "default")
    assert Run.objects.get(pk=old).status == "failed"
    shown = runs.show(old)
    assert (shown.timeline[-1].kind, shown.timeline[-1].actor) == ("replayed", "ada")
    assert shown.timeline[-1].data == {"run": str(new.pk), "edited": False}
    assert runs.show(new.pk).replay_of == old


def test_a_replay_takes_other_arguments_and_the_old_ones_are_kept():
    old = make_run(status="failed")
    answer = run_acts.replay(old, payload={"a": 5, "b": 6}, caller=ADA)
    assert Run.objects.get(pk=answer.run.id).payload == {"a": 5, "b": 6}
    assert Run.objects.get(pk=old).payload == {"a": 1, "b": 2}
    assert AuditLog.objects.get().after == {"run": str(answer.run.id), "edited": True}


@pytest.mark.parametrize("payload", [{"a": "one", "b": 2}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {}])
def test_arguments_that_do_not_fit_are_refused_and_nothing_is_written(payload):
    old = make_run(status="failed")
    before = facts()
    with pytest.raises(PayloadInvalid) as refusal:
        run_acts.replay(old, payload=payload, caller=ADA)
    assert refusal.value.errors
    assert nothing_changed(before)


def test_a_secret_that_is_left_masked_stays_what_it_was():
    old = make_run(status="failed", task=log_in, payload={"user": "ada", "password": "hunter22"})
    shown = runs.show(old).payload
    answer = run_acts.replay(old, payload={**shown, "user": "bob"}, caller=ADA)
    new = Run.objects.get(pk=answer.run.id)
    assert new.payload["user"] == "bob"
    assert "hunter22" not in str(new.payload)
    assert log_in_arguments(new) == {"user": "bob", "password": "hunter22"}


def log_in_arguments(run: Run) -> dict:
    from openqueue import secrets

    return secrets.unseal(run.payload, fields=["password"])


def test_a_refusal_of_arguments_tells_no_secret():
    old = make_run(status="failed", task=log_in, payload={"user": "ada", "password": "hunter22"})
    with pytest.raises(PayloadInvalid) as refusal:
        run_acts.replay(old, payload={"user": 7, "password": ["correct horse"]}, caller=ADA)
    assert "correct horse" not in str(refusal.value)


def test_a_run_of_a_task_that_is_gone_is_not_replayed():
    old = make_run(status="failed")
    Run.objects.update(task_id="app.gone")
    with pytest.raises(UnknownTask):
        run_acts.replay(old, caller=ADA)


def test_a_task_for_code_alone_is_replayed_by_operators_alone(declare):
    @declare(api_enqueueable=False)
    def inner(a: int, b: int) -> None: ...

    old = make_run(status="failed", task=inner)
    caller = Caller(actor=Actor(name="eve"), owner="user 1", rights=frozenset(Right))
    with pytest.raises(NotAllowed, match="only code may trigger it"):
        run_acts.replay(old, caller=caller)
    assert run_acts.replay(old, caller=ADA).outcome == "triggered"


def test_keys_that_are_made_of_arguments_follow_the_new_ones(declare):
    @declare(concurrency_key="customer:{a}", ordering_key="cart:{b}")
    def keyed(a: int, b: int) -> None: ...

    old = make_run(task=keyed)
    runs.cancel([old], actor=Actor(name="ada"))
    answer = run_acts.replay(old, payload={"a": 8, "b": 9}, caller=ADA)
    new = Run.objects.get(pk=answer.run.id)
    assert (new.concurrency_key, new.ordering_key) == ("customer:8", "cart:9")


def test_acts_on_many_runs_answer_for_each():
    made = {state: make_run(status=state) for state in STATES}
    gone = uuid4()
    answers = runs.promote([*made.values(), gone], actor=Actor(name="ada"))
    assert {state: answers[run] for state, run in made.items()} == {
        "queued": "due", "scheduled": "promoted", "running": "running", "retrying": "promoted",
        "waiting": "waiting", "completed": "finished", "failed": "finished", "cancelled": "finished",
        "expired": "finished",
    }  # fmt: skip
    assert answers[gone] == "missing"
    assert AuditLog.objects.count() == 2
