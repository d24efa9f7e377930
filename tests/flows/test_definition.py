"""What is wrong with a graph is said before anything is written."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from openqueue import Flow, FlowInvalid, PayloadInvalid, aenqueue_flow, chain, enqueue_flow, group
from openqueue.models import Flow as FlowRow
from openqueue.models import FlowEdge, FlowNode, Outbox, Run
from openqueue.types import NewRun

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def send(declare: Any) -> Any:
    @declare
    def send(n: int = 0) -> int:
        return n

    return send


def shape(flow: Any) -> dict[str, list[str]]:
    """Return what each node waits for."""
    found: dict[str, list[str]] = {name: [] for name in flow.nodes}
    edges = FlowEdge.objects.filter(child__flow_id=flow.id).order_by("parent__number")
    for parent, child in edges.values_list("parent__name", "child__name"):
        found[child].append(parent)
    return found


def nothing_was_written() -> bool:
    return not any(model.objects.exists() for model in (Run, Outbox, FlowRow, FlowNode, FlowEdge))


def test_nodes_are_named_after_their_functions_and_numbered_when_repeated(send):
    flow = Flow("names")
    assert [flow.add(send.bind()).name for _ in range(3)] == ["send", "send-2", "send-3"]


@pytest.mark.parametrize(
    ("edges", "path"),
    [
        ({"a": ["b"], "b": ["a"]}, "a -> b -> a"),
        ({"a": ["c"], "b": ["a"], "c": ["b"], "d": [], "e": ["c", "d"]}, "a -> b -> c -> a"),
        ({"a": ["a"]}, "waits for itself: a -> a"),
    ],
    ids=["two", "three among others", "itself"],
)
def test_a_circle_is_refused_with_its_path(send, edges, path):
    flow = Flow("circle")
    for name, after in edges.items():
        flow.add(send.bind(), name=name, after=after)
    with pytest.raises(FlowInvalid, match=path):
        enqueue_flow(flow)
    assert nothing_was_written()


def test_an_unknown_node_is_refused_by_name(send):
    flow = Flow("unknown")
    flow.add(send.bind(), name="a", after=["nobody"])
    with pytest.raises(FlowInvalid, match="'a' of flow 'unknown' waits for 'nobody', which is no node of it"):
        enqueue_flow(flow)
    assert nothing_was_written()


def test_a_node_of_another_flow_is_refused(send):
    other = Flow("other").add(send.bind(), name="a")
    flow = Flow("mine")
    flow.add(send.bind(), name="a")
    flow.add(send.bind(), name="b", after=[other])
    with pytest.raises(FlowInvalid, match="no node of it"):
        enqueue_flow(flow)


def test_an_empty_flow_is_refused():
    with pytest.raises(FlowInvalid, match="has no nodes"):
        enqueue_flow(Flow("empty"))


def test_a_name_is_given_once(send):
    flow = Flow("twice")
    flow.add(send.bind(), name="a")
    with pytest.raises(FlowInvalid, match="two nodes named 'a'"):
        flow.add(send.bind(), name="a")


@pytest.mark.parametrize(
    "wrong", [{"on_failure": "ignore"}, {"after": "a"}, {"after": [3]}, {"name": ""}, {"name": "x" * 201}]
)
def test_wrong_words_are_refused(send, wrong):
    with pytest.raises(FlowInvalid):
        Flow("words").add(send.bind(), **wrong)


def test_a_task_that_is_not_bound_is_checked_with_its_payload_and_the_node_named(send):
    flow = Flow("payload")
    flow.add(send, {"n": 3}, name="a")
    with pytest.raises(PayloadInvalid, match=r"^charge\.n "):
        flow.add(send, {"n": "many"}, name="charge")
    with pytest.raises(FlowInvalid, match="is a int"):
        flow.add(3, name="b")
    assert enqueue_flow(flow).nodes["a"].row.payload == {"n": 3}


def test_a_tree_runs_its_children_first(send):
    tree = send.bind(1).after(send.bind(2).after(send.bind(3), send.bind(4)), send.bind(5))
    flow = enqueue_flow(tree)
    payloads = {name: run.row.payload["n"] for name, run in flow.nodes.items()}
    said = {payloads[child]: [payloads[p] for p in parents] for child, parents in shape(flow).items()}
    assert said == {3: [], 4: [], 2: [3, 4], 5: [], 1: [2, 5]}


def test_a_deep_tree_and_a_deep_chain_are_no_deeper_than_python(send):
    tree: Any = send.bind()
    for _ in range(1_500):
        tree = send.bind().after(tree)
    assert enqueue_flow(tree).row.total == 1_501
    assert enqueue_flow(chain(*[send.bind() for _ in range(1_500)])).row.waiting == 1_499


def test_a_group_is_joined_by_one(send):
    flow = enqueue_flow(group([send.bind(n) for n in range(3)], then=send.bind(9)))
    assert shape(flow) == {"send": [], "send-2": [], "send-3": [], "send-4": ["send", "send-2", "send-3"]}


def test_an_edge_may_have_a_policy_of_its_own(send):
    flow = Flow("edges", on_failure="block")
    a, b = flow.add(send.bind(), name="a"), flow.add(send.bind(), name="b")
    flow.add(send.bind(), name="c", after={a: "continue", b: "fail"})
    flow.add(send.bind(), name="d", after=[a], on_failure="fail")
    flow.add(send.bind(), name="e", after=[a])
    enqueue_flow(flow)
    edges = FlowEdge.objects.values_list("parent__name", "child__name", "policy")
    assert set(edges) == {
        ("a", "c", "continue"), ("b", "c", "fail"), ("a", "d", "fail"), ("a", "e", "block"),
    }  # fmt: skip


def test_a_rolled_back_flow_never_was(send):
    with transaction.atomic():
        enqueue_flow(chain(send.bind(), send.bind()))
        transaction.set_rollback(True)
    assert nothing_was_written()


@pytest.mark.parametrize("count", [10, 900])
def test_a_flow_costs_the_same_statements_whatever_its_size(send, count, django_assert_max_num_queries):
    flow = group([send.bind(n) for n in range(count)], then=send.bind())
    # SQLite takes fewer values in one statement than the others take rows.
    with django_assert_max_num_queries(14 if is_a_server() else 60):
        enqueue_flow(flow)


def is_a_server() -> bool:
    from django.db import connection

    return connection.vendor != "sqlite"


def test_a_flow_is_triggered_from_a_coroutine(send):
    async def trigger() -> list[str]:
        flow = await aenqueue_flow(chain(send.bind(1), send.bind(2)))
        return list(await flow.anodes())

    assert async_to_sync(trigger)() == ["send", "send-2"]


def test_every_fact_of_a_callback_survives_its_time_as_text(send):
    from datetime import UTC, datetime

    from openqueue import codec
    from openqueue.core import flows
    from openqueue.flow.enqueue import callback, new_runs

    order = send.using(run_at=datetime(2030, 1, 1, tzinfo=UTC), priority=3, tags=["a"], meta={"b": 1}, ttl=5)
    (run,) = new_runs([order.bind(7)])
    text = codec.encode(callback(run), what="callback", limit=10_000)
    made = flows.run_of(codec.decode(text), flow=FlowRow())
    left = [name for name in NewRun._fields if name not in {"id", "flow_id"}]
    assert [getattr(made, name) for name in left] == [getattr(run, name) for name in left]
