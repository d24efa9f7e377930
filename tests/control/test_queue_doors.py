"""Queues that are disabled or drained: what becomes of runs that are triggered into them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from openqueue import Flow, QueueClosed, enqueue_flow, registry, trigger_many
from openqueue.control import queue_acts, queue_doors, queues, runs
from openqueue.control.actor import Actor
from openqueue.core import transitions
from openqueue.errors import UnclearQueue
from openqueue.models import AuditLog, DedupeKey, FlowNode, Outbox, QueueState, Run, RunEvent
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Claimed
from tests.app.models import Note
from tests.app.tasks import add
from tests.control.builders import ERROR, make_run
from tests.statements import sent

pytestmark = pytest.mark.django_db
ADA, BOB = Actor(name="ada"), Actor(name="bob")
MAIL = add.using(queue="mail")


def close(behaviour: str, queue: str = "mail") -> None:
    queue_doors.disable([queue], behaviour=behaviour, actor=ADA, reason="provider is down")


def statuses() -> list[tuple[str, str]]:
    return list(Run.objects.order_by("pk").values_list("status", "reason"))


# --- deciding -----------------------------------------------------------------------------------------------------


def test_a_disabled_queue_starts_nothing_and_says_who_disabled_it_and_why():
    assert queue_doors.disable(["mail", "sms"], actor=ADA, reason="so") == {
        "mail": "disabled",
        "sms": "disabled",
    }
    assert store().paused() == {"mail", "sms"}
    (line,) = queues.listing(["mail"])
    assert (line.paused, line.behaviour, line.draining) == (True, "hold", False)
    assert (line.closed_by, line.close_reason, line.paused_by, line.paused_for) == ("ada", "so", "", None)
    assert 0 <= line.closed_for < 60
    assert queue_doors.disable(["mail"], actor=BOB) == {"mail": "already so"}
    assert queue_doors.disable(["mail"], behaviour="skip", actor=BOB) == {"mail": "disabled"}
    assert queue_doors.enable(["mail", "other"], actor=BOB) == {"mail": "enabled", "other": "not disabled"}
    assert store().paused() == {"sms"}
    state = QueueState.objects.get(name="mail")
    assert (state.closed_by, state.close_reason, state.closed_at) == ("", "", None)
    acts = AuditLog.objects.filter(object="queue mail").order_by("pk")
    assert [(act.act, act.actor, act.before, act.after) for act in acts] == [
        ("queue.disable", "ada", {"behaviour": "", "draining": False}, {"behaviour": "hold", "draining": False}),
        ("queue.disable", "bob", {"behaviour": "hold", "draining": False}, {"behaviour": "skip", "draining": False}),
        ("queue.enable", "bob", {"behaviour": "skip", "draining": False}, {"behaviour": "", "draining": False}),
    ]  # fmt: skip


def test_a_pause_and_a_disabling_know_nothing_of_each_other():
    queue_acts.pause(["mail"], actor=ADA)
    close("hold")
    assert queue_doors.enable(["mail"], actor=ADA) == {"mail": "enabled"}
    assert store().paused() == {"mail"}, "ada's pause stands"
    close("hold")
    assert queue_acts.resume(["mail"], actor=ADA) == {"mail": "resumed"}
    assert store().paused() == {"mail"}, "it is still disabled"
    assert queue_acts.resume(["mail"], actor=ADA) == {"mail": "disabled"}
    assert queue_acts.pause(["mail"], actor=ADA) == {"mail": "paused"}
    queue_acts.resume(["mail"], actor=ADA)
    queue_doors.enable(["mail"], actor=ADA)
    assert store().paused() == set()


def test_a_draining_queue_that_is_paused_is_drained_when_it_is_resumed():
    queue_acts.pause(["mail"], actor=ADA)
    assert queue_doors.drain(["mail"], actor=ADA) == {"mail": "draining"}
    assert store().paused() == {"mail"}
    assert queue_acts.resume(["mail"], actor=ADA) == {"mail": "resumed"}
    assert store().paused() == set()
    assert QueueState.objects.get(name="mail").behaviour == "reject"
    assert queue_doors.drain(["mail"], actor=ADA) == {"mail": "already so"}
    close("reject")
    assert store().paused() == {"mail"}


def test_what_an_enabled_queue_held_is_looked_at_at_once(settings):
    close("hold")
    run = MAIL.trigger(1, 2)
    Outbox.objects.update(announce_at="2099-01-01T00:00Z")
    queue_doors.enable(["mail"], actor=ADA)
    assert Outbox.objects.get(pk=run.id).announce_at <= store().clock(None)


def test_what_is_no_behaviour_is_refused_and_nothing_is_decided():
    with pytest.raises(UnclearQueue, match="hold, reject, skip"):
        queue_doors.disable(["mail"], behaviour="drop", actor=ADA)
    with pytest.raises(UnclearQueue, match="reject or skip"):
        queue_doors.drain(["mail"], behaviour="hold", actor=ADA)
    for act in (queue_doors.disable, queue_doors.drain, queue_doors.enable):
        with pytest.raises(UnclearQueue, match="names match"):
            act(["E-Mail"], actor=ADA)
    assert not QueueState.objects.exists()


# --- hold ---------------------------------------------------------------------------------------------------------


def test_a_queue_that_holds_takes_in_what_comes():
    close("hold")
    run = MAIL.trigger(1, 2)
    assert run.refresh().status == "queued"
    assert Outbox.objects.count() == 1


# --- reject -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draining", [False, True])
def test_a_queue_that_rejects_refuses_before_anything_is_written_and_the_transaction_goes_on(draining):
    if draining:
        queue_doors.drain(["mail"], actor=ADA, reason="moving")
    else:
        close("reject")
    triggers = [
        lambda: MAIL.trigger(1, 2),
        lambda: MAIL.using(delay=60).trigger(1, 2),
        lambda: MAIL.trigger_many([{"a": 1, "b": n} for n in range(3)]),
        lambda: trigger_many([add.bind(1, 2), MAIL.bind(1, 2)]),
        lambda: MAIL.using(dedupe_key="one").trigger(1, 2),
        lambda: MAIL.using(concurrency_key="one").trigger(1, 2),
        lambda: enqueue_flow(flow_of("mail")),
    ]
    for trigger in triggers:
        with transaction.atomic():
            with pytest.raises(QueueClosed, match="'mail' was closed by ada: "):
                trigger()
            Note.objects.create(text="goes on")
    assert Note.objects.count() == len(triggers)
    assert (Run.objects.count(), RunEvent.objects.count(), Outbox.objects.count()) == (0, 0, 0)
    assert not DedupeKey.objects.exists()
    assert add.trigger(1, 2).refresh().status == "queued"


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_nothing_is_left_of_a_refused_trigger():
    close("reject")
    for run in (MAIL, MAIL.using(dedupe_key="one")):
        with pytest.raises(QueueClosed):
            run.trigger(1, 2)
    with pytest.raises(QueueClosed):
        enqueue_flow(flow_of("mail"))
    assert not Run.objects.exists()
    assert not DedupeKey.objects.exists()
    queue_doors.enable(["mail"], actor=ADA)
    assert MAIL.using(dedupe_key="one").trigger(1, 2).created


def test_the_error_says_what_to_do():
    close("reject")
    with pytest.raises(QueueClosed) as refused:
        MAIL.trigger(1, 2)
    assert str(refused.value) == (
        "'mail' was closed by ada: provider is down. The queue takes in no runs now. Trigger again when it is open, "
        "or ask who closed it: `openqueue_queues list`."
    )


# --- skip ---------------------------------------------------------------------------------------------------------


def test_a_queue_that_skips_keeps_a_record_of_what_never_runs():
    close("skip")
    run = MAIL.trigger(1, 2)
    later = MAIL.using(delay=60).trigger(1, 2)
    many = MAIL.trigger_many([{"a": 1, "b": n} for n in range(3)])
    other = add.trigger(1, 2)
    assert run.refresh().status == later.refresh().status == "cancelled"
    assert statuses() == [("cancelled", "queue_closed")] * 5 + [("queued", "")]
    assert [row.run_id for row in Outbox.objects.all()] == [other.id]
    assert all(handle.created for handle in many)
    events = RunEvent.objects.filter(run_id=run.id).order_by("pk")
    assert [(event.kind, event.version) for event in events] == [("triggered", 1), ("cancelled", 2)]
    assert Run.objects.get(pk=run.id).finished_at is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", [None, "one"])
def test_a_skipped_run_is_written_with_its_end_or_not_at_all(monkeypatch, key):
    queue_doors.drain(["mail"], behaviour="skip", actor=ADA)

    def dies(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(transitions, "skip", dies)
    with pytest.raises(ZeroDivisionError):
        MAIL.using(dedupe_key=key).trigger(1, 2)
    assert not Run.objects.exists()
    assert not Outbox.objects.exists(), "a worker of the draining queue could have taken it"


def test_of_a_batch_only_what_goes_into_the_closed_queue_is_skipped():
    close("skip")
    trigger_many([add.bind(1, 2), MAIL.bind(1, 2), add.bind(3, 4)])
    assert sorted(statuses()) == [("cancelled", "queue_closed"), ("queued", ""), ("queued", "")]


def test_a_skipped_run_does_not_keep_its_key():
    close("skip")
    first = MAIL.using(dedupe_key="one").trigger(1, 2)
    queue_doors.enable(["mail"], actor=ADA)
    second = MAIL.using(dedupe_key="one").trigger(1, 2)
    assert second.created
    assert first.refresh().status == "cancelled"
    assert second.refresh().status == "queued"


def test_a_skipped_run_can_be_retried_when_the_queue_is_open_again():
    close("skip")
    run = MAIL.trigger(1, 2)
    queue_doors.enable(["mail"], actor=ADA)
    assert runs.retry([run.id], actor=ADA) == {run.id: "requeued"}
    assert run.refresh().status == "queued"


def flow_of(queue: str) -> Flow:
    flow = Flow("orders")
    first = flow.add(add.bind(1, 2), name="first")
    flow.add(add.using(queue=queue).bind(1, 2), name="second", after=[first])
    third = flow.add(add.using(queue=queue).bind(1, 2), name="third")
    flow.add(add.bind(1, 2), name="fourth", after=[third])
    return flow


def test_nodes_of_a_flow_are_skipped_and_those_that_wait_for_them_fail():
    close("skip")
    enqueue_flow(flow_of("mail"))
    found = {node.name: (node.run.status, node.run.reason) for node in FlowNode.objects.select_related("run")}
    assert found == {
        "first": ("queued", ""),
        "second": ("cancelled", "queue_closed"),
        "third": ("cancelled", "queue_closed"),
        "fourth": ("failed", "dependency_failed"),
    }
    assert [row.run_id for row in Outbox.objects.all()] == [FlowNode.objects.get(name="first").pk]
    flow = FlowNode.objects.get(name="first").flow
    assert (flow.waiting, flow.active, flow.failed) == (0, 1, 3)


# --- where nobody hears of an error -------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["reject", "skip"])
def test_the_callback_of_a_flow_is_skipped_and_the_end_of_the_flow_stands(behaviour):
    flow = Flow("orders")
    flow.add(add.bind(1, 2), name="only")
    flow.when_ended(MAIL.bind(3, 4))
    handle = enqueue_flow(flow)
    close(behaviour)
    (node,) = Run.objects.all()
    assert runs.cancel([node.pk], actor=ADA) == {node.pk: "cancelled"}
    assert handle.refresh().status == "failed"
    (callback,) = Run.objects.filter(queue="mail")
    assert (callback.status, callback.reason) == ("cancelled", "queue_closed")


# --- what is there ------------------------------------------------------------------------------------------------


def test_what_is_there_is_neither_refused_nor_skipped():
    waiting, running = make_run(queue="mail"), make_run(queue="mail", status="running")
    close("skip")
    assert dict(Run.objects.values_list("pk", "status")) == {waiting: "queued", running: "running"}
    claim = Run.objects.get(pk=running).claim
    attempt = Claimed(
        running, claim.token, claim.worker_id, 1, 1, add.id, "mail", "{}", 3, 0, None, None, None
    )
    transitions.settle(
        [transitions.retrying(attempt, reason=Reason.ERROR, error=ERROR, delay=0, backoff="fixed", age=1.0)]
    )
    assert Run.objects.get(pk=running).status == "retrying"
    assert Outbox.objects.filter(pk=running).exists()


# --- cost ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 100])
def test_an_open_queue_costs_a_trigger_no_statement_where_the_insert_can_ask(count: int):
    close("reject", queue="other")
    registry.index()
    with sent() as statements:
        MAIL.trigger_many([{"a": 1, "b": n} for n in range(count)])
    assert len(statements) == {"postgresql": 1, "sqlite": 3, "mysql": 4}[connection.vendor], statements
