"""Runs that wait for each other: the same on every runtime, since the database lets them go."""

from __future__ import annotations

from typing import Any

from openqueue.context import TaskContext
from openqueue.flow import Flow, chain, enqueue_flow, group
from openqueue.models import RunEvent
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance.suite import Declare, Suite


class Flows(Suite):
    """Results handed on, joins, failure policies, cancel and retry, steps."""

    def ended(self, flow: Any, status: str = "completed") -> dict[str, str]:
        """Wait for the end of a flow; return how its nodes ended."""
        self.eventually(lambda: flow.refresh().row.is_final)
        nodes = {name: run.status for name, run in flow.nodes.items()}
        assert flow.status == status, nodes
        return nodes

    def test_a_chain_hands_a_result_on(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def begin() -> int:
            return 20

        @declare
        def end(ctx: TaskContext) -> int:
            return int(ctx.flow.result("begin")) + 1

        flow = enqueue_flow(chain(begin.bind(), end.bind()))
        with self.worker(queue):
            self.ended(flow)
        assert flow.nodes["end"].result == 21
        assert self.story(flow.nodes["end"]) == ["triggered", "unblocked", "started", "completed"]

    def test_a_join_waits_for_all(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def part(n: int) -> int:
            return n

        @declare
        def total(ctx: TaskContext) -> int:
            return sum(ctx.flow.results.values())

        flow = enqueue_flow(group([part.bind(n) for n in range(20)], then=total.bind()))
        with self.worker(queue):
            self.ended(flow)
        join = flow.nodes["total"]
        assert join.result == sum(range(20))
        starts = {
            event.run_id: event.pk for event in RunEvent.objects.filter(kind__in=["started", "completed"])
        }
        first = RunEvent.objects.get(run_id=join.id, kind="started").pk
        assert all(starts[run.id] < first for name, run in flow.nodes.items() if name != "total")

    def test_what_waits_for_a_failed_node_ends_by_its_policy(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare(max_attempts=1)
        def fail() -> None:
            raise ValueError

        @declare
        def after() -> None: ...

        def flow(policy: Any) -> Any:
            made = Flow("policy", on_failure=policy)
            made.add(fail.bind())
            made.add(after.bind(), name="child", after=["fail"])
            made.add(after.bind(), name="grandchild", after=["child"])
            return enqueue_flow(made)

        fails, goes_on, waits = flow("fail"), flow("continue"), flow("block")
        with self.worker(queue):
            assert self.ended(fails, "failed") == dict.fromkeys(["fail", "child", "grandchild"], "failed")
            assert self.ended(goes_on)["grandchild"] == "completed"
            self.eventually(lambda: waits.refresh().status == "blocked")
        assert [run.status for run in waits.nodes.values()] == ["failed", "waiting", "waiting"]
        assert waits.cancel(actor="anna") == "cancelled"
        assert waits.refresh().status == "cancelled"

    def test_a_failed_flow_goes_on_from_what_failed(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        bodies: list[str] = []

        @declare
        def begin() -> None:
            bodies.append("begin")

        @declare(max_attempts=1)
        def middle() -> None:
            bodies.append("middle")
            if bodies.count("middle") == 1:
                raise ValueError

        @declare
        def end() -> None:
            bodies.append("end")

        flow = enqueue_flow(chain(begin.bind(), middle.bind(), end.bind()))
        with self.worker(queue):
            self.ended(flow, "failed")
            assert flow.retry(actor="anna") == 2
            self.ended(flow)
        assert bodies == ["begin", "middle", "middle", "end"]

    def test_callbacks_run_once_when_the_flow_has_ended(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def part() -> None: ...

        @declare
        def told(ctx: TaskContext) -> str:
            return str(ctx.flow.handle.status)

        flow = group([part.bind() for _ in range(5)]).when_completed(told.bind()).when_failed(told.bind())
        with self.worker(queue):
            self.ended(enqueue_flow(flow))
            ends = RunEvent.objects.filter(kind="completed", run__task_id=told.id)
            self.eventually(ends.exists)
        assert ends.get().run.result == "completed"

    def test_a_later_attempt_goes_on_after_the_last_step(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        done: list[str] = []

        def load(name: str, found: int) -> int:
            done.append(name)
            return found

        @declare(backoff=0)
        def long(ctx: TaskContext) -> Any:
            found = ctx.step("load", lambda: load("load", 7))
            if ctx.attempt == 1:
                raise ValueError
            return found

        @declare(backoff=0)
        async def along(ctx: TaskContext) -> Any:
            found = await ctx.astep("aload", lambda: load("aload", 8))
            if ctx.attempt == 1:
                raise ValueError
            return found

        runs = long.trigger(), along.trigger()
        with self.worker(queue):
            assert [self.finish(run).result for run in runs] == [7, 8]
        assert sorted(done) == ["aload", "load"]
