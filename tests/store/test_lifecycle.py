"""Any order of claims, beats, settles, losses, cancels, expiries and retries leaves a true history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from openqueue.conf import config
from openqueue.core import cancellation, precedence, transitions
from openqueue.models import Outbox, Run
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.states import ARROWS, FINAL, Reason, Status
from openqueue.store import store
from openqueue.types import Claimed, Outcome
from tests.store import fleet, history
from tests.store.fleet import Clock, FakeWorker

ENDINGS: dict[str, Callable[[Claimed], Outcome]] = {
    "complete": fleet.completes,
    "fail": fleet.fails,
    "retry": fleet.retries,
    "retry later": lambda attempt: fleet.retries(attempt, 7),
    "release": fleet.releases,
    "release begun": lambda attempt: fleet.releases(attempt, age=0.1),
    "cancel": lambda attempt: transitions.cancelled(attempt, age=None),
}


@dataclass
class Known:
    """What the model knows of a run that the tables must agree with."""

    cancel_asked: bool = False
    holder: Any = None
    """The token of the claim that stands."""


class Lifecycle(RuleBasedStateMachine):
    """Two workers, one clock, every verb."""

    @initialize()
    def begin(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.clock = Clock()
        self.workers = [FakeWorker(self.clock), FakeWorker(self.clock)]
        self.runs: dict[UUID, Known] = {}
        self.attempts: list[Claimed] = []
        self.accepted: list[Outcome] = []
        self.late: set[tuple[UUID, UUID]] = set()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    @rule(
        delay=st.sampled_from([0, 0, 5, 60]),
        ttl=st.sampled_from([None, None, 4, 90]),
        priority=st.integers(-1, 1),
        runs=st.integers(1, 3),
    )
    def trigger(self, delay: float, ttl: float | None, priority: int, runs: int) -> None:
        made = fleet.make_run(self.clock, runs=runs, delay=delay, ttl=ttl, priority=priority)
        self.runs |= {run: Known() for run in ([made] if runs == 1 else made)}

    @rule(seconds=st.sampled_from([0.001, 1, 8, 31]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    @rule()
    def rows_fall_due(self) -> None:
        store().flip_ready(limit=100, now=self.clock.now)
        assert not Outbox.objects.filter(ready=False, due_at__lte=self.clock.now).exists()

    @rule(number=st.integers(0, 1), limit=st.integers(1, 4))
    def claim(self, number: int, limit: int) -> None:
        rows = Outbox.objects.filter(ready=True, announce_at__lte=self.clock.now)
        open_rows = rows.exclude(expires_at__lte=self.clock.now)
        due = sorted((-row.priority, row.due_at, row.run_id) for row in open_rows)
        ranks = {run: (priority, at) for priority, at, run in due}
        claimed = self.workers[number].claim(limit)
        assert len(claimed) == min(limit, len(due))
        mine = [ranks[attempt.run_id] for attempt in claimed]
        assert mine == sorted(mine), "not in order of priority and due time"
        assert mine == [(priority, at) for priority, at, _ in due[: len(mine)]], "others were before them"
        for attempt in claimed:
            self.runs[attempt.run_id] = Known(holder=attempt.token)
        self.attempts += claimed

    @rule(number=st.integers(0, 1))
    def beat(self, number: int) -> None:
        beat = self.workers[number].beat()
        if beat.alive:
            assert {held.run_id for held in beat.held if held.cancel_requested} == {
                held.run_id for held in beat.held if self.runs[held.run_id].cancel_asked
            }
        else:
            self.workers[number] = FakeWorker(self.clock)

    @precondition(lambda self: self.attempts)
    @rule(choice=st.data(), size=st.integers(1, 4))
    def settle(self, choice: st.DataObject, size: int) -> None:
        """Zombies settle beside holders, in one batch."""
        picked = choice.draw(
            st.lists(st.sampled_from(self.attempts), min_size=1, max_size=size, unique_by=lambda a: a.run_id)
        )
        batch = [ENDINGS[choice.draw(st.sampled_from(sorted(ENDINGS)))](attempt) for attempt in picked]
        done_before = {(o.run_id, o.token) for o in self.accepted}
        told = {s.run_id: s for s in transitions.settle(batch, now=self.clock.now)}
        for outcome in batch:
            known, key = self.runs[outcome.run_id], (outcome.run_id, outcome.token)
            if known.holder == outcome.token:
                self.accept(outcome, known, told[outcome.run_id].status)
            elif key in done_before:
                assert outcome.run_id in told, "what was accepted before is accepted again"
            else:
                assert outcome.run_id not in told, "a zombie was believed"
                self.late.add(key)

    def accept(self, outcome: Outcome, known: Known, status: Status) -> None:
        back = outcome.status in {Status.QUEUED, Status.RETRYING}
        assert status == (Status.CANCELLED if back and known.cancel_asked else outcome.status)
        self.runs[outcome.run_id] = Known()
        self.accepted.append(outcome)

    @precondition(lambda self: self.accepted)
    @rule(choice=st.data())
    def send_again(self, choice: st.DataObject) -> None:
        outcome = choice.draw(st.sampled_from(self.accepted))
        version = Run.objects.get(pk=outcome.run_id).version
        (settled,) = transitions.settle([outcome], now=self.clock.now)
        assert (settled.run_id, settled.token) == (outcome.run_id, outcome.token)
        assert Run.objects.get(pk=outcome.run_id).version == version

    @rule()
    def reap(self) -> None:
        Reaper(trusting=True).step(self.clock.now)
        alive = set(store().orphans(limit=1))
        assert not alive, "claims of the dead are left"
        standing = dict(Run.objects.filter(status="running").values_list("pk", "claim__token"))
        for run, known in self.runs.items():
            if known.holder is not None and run not in standing:
                self.runs[run] = Known()

    @precondition(lambda self: self.runs)
    @rule(choice=st.data())
    def cancel(self, choice: st.DataObject) -> None:
        run = choice.draw(st.sampled_from(sorted(self.runs)))
        before = Run.objects.get(pk=run).status
        answer = cancellation.cancel([run], actor="me", now=self.clock.now)[run]
        expected = {True: "finished", False: "requested" if before == "running" else "cancelled"}
        assert answer == expected[before in FINAL]
        self.runs[run].cancel_asked |= answer == "requested"

    @rule()
    def expire(self) -> None:
        gone = transitions.expire(limit=100, now=self.clock.now)
        assert set(Run.objects.filter(pk__in=gone).values_list("status", flat=True)) <= {"expired"}
        assert all(run.attempt == 0 for run in Run.objects.filter(pk__in=gone))

    @precondition(lambda self: self.runs)
    @rule(choice=st.data())
    def operator_retries(self, choice: st.DataObject) -> None:
        run = choice.draw(st.sampled_from(sorted(self.runs)))
        final = Run.objects.get(pk=run).status in FINAL
        done = transitions.requeue([run], actor="me", head_start=0, now=self.clock.now)
        assert bool(done) == final
        if done:
            self.runs[run] = Known()

    @precondition(lambda self: self.runs)
    @rule(choice=st.data())
    def promote(self, choice: st.DataObject) -> None:
        run = choice.draw(st.sampled_from(sorted(self.runs)))
        later = Outbox.objects.filter(pk=run, due_at__gt=self.clock.now).exists()
        assert precedence.promote([run], actor="me", now=self.clock.now) == [run] * later
        assert not Outbox.objects.filter(pk=run, due_at__gt=self.clock.now).exists()

    @precondition(lambda self: self.runs)
    @rule(choice=st.data(), priority=st.integers(-1, 1))
    def prioritise(self, choice: st.DataObject, priority: int) -> None:
        run = choice.draw(st.sampled_from(sorted(self.runs)))
        other = Outbox.objects.filter(pk=run).exclude(priority=priority).exists()
        assert (
            precedence.prioritise([run], priority=priority, actor="me", now=self.clock.now) == [run] * other
        )

    @invariant()
    def the_history_is_true(self) -> None:
        if hasattr(self, "runs"):
            history.verify()
            crashes = Run.objects.filter(crash_count__gt=config.max_crashes)
            assert not crashes.exists()
            for run, token in self.late:
                assert [e.token for e in fleet.events(run, "late_result_discarded")].count(token) == 1


@pytest.mark.django_db
def test_any_order_of_verbs_leaves_every_run_in_one_place_with_a_true_history():
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],  # add Phase.shrink to hunt: it takes minutes on a database
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.django_db
def test_every_arrow_of_the_table_is_walked_by_a_real_transition():
    clock = Clock()
    worker = FakeWorker(clock)
    for start in (Status.SCHEDULED, Status.QUEUED, Status.RETRYING):
        for end in ("claim", "cancel", "expire", "refuse"):
            walk(worker, start=start, end=end)
    for ending in ENDINGS.values():
        fleet.make_run(clock)
        worker.settle(ending(*worker.claim(1)))
        clear(clock)
    precedence.promote([fleet.make_run(clock, delay=5)], actor="me", now=clock.now)
    walked = history.verify()
    for run in Run.objects.filter(status__in=FINAL):
        assert transitions.requeue([run.pk], actor="me", head_start=0, now=clock.now)
    waiting = {(a, b) for a in ARROWS for b in ARROWS[a] if Status.WAITING in (a, b)}
    assert walked | history.verify() == {(a, b) for a in ARROWS for b in ARROWS[a]} - waiting


def walk(worker: FakeWorker, *, start: Status, end: str) -> None:
    clock = worker.clock
    if end == "expire" and start == Status.RETRYING:
        return
    run = fleet.make_run(
        clock, delay=5 if start == Status.SCHEDULED else 0, ttl=9 if end == "expire" else None
    )
    if start == Status.RETRYING:
        worker.settle(fleet.retries(*worker.claim(1), 5))
    assert Run.objects.get(pk=run).status == start
    clock.pass_(6)
    store().flip_ready(limit=9, now=clock.now)
    if end == "claim":
        (attempt,) = worker.claim(1)
        worker.settle(fleet.completes(attempt))
    elif end == "cancel":
        assert transitions.cancel_waiting([run], actor="me", now=clock.now) == [run]
    elif end == "expire":
        clock.pass_(9)
        assert transitions.expire(limit=9, now=clock.now) == [run]
    else:
        seq = Outbox.objects.get(pk=run).seq
        assert transitions.refuse(
            [(run, seq)], reason=Reason.UNKNOWN_TASK, message="who?", now=clock.now
        ) == [run]


def clear(clock: Clock) -> None:
    transitions.cancel_waiting(list(Outbox.objects.values_list("run_id", flat=True)), actor="", now=clock.now)
