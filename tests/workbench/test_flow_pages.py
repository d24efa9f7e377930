"""The pages of flows."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.urls import reverse

from openqueue import Flow as Graph
from openqueue import chain, enqueue_flow, group
from openqueue.models import AuditLog, Flow, FlowNode, Run
from tests.app.tasks import add
from tests.control.builders import claim, clock, end
from tests.workbench.people import EVIL, is_harmless, log_in, text

pytestmark = pytest.mark.django_db
ALL = reverse("admin:openqueue_flow_changelist")
SCRIPTED = {"HX-Request": "true"}


def a_flow(name: str = "order", *, policy: str = "fail") -> UUID:
    """A diamond: charge and stock wait for validate, ship waits for both."""
    flow = Graph(name, on_failure=policy)  # type: ignore[arg-type]
    call = add.bind(a=1, b=2)
    first = flow.add(call, name="validate")
    both = [flow.add(call, name=name, after=[first]) for name in ("charge", "stock")]
    flow.add(call, name="ship", after=both)
    return enqueue_flow(flow).id


def ended(flow: UUID, name: str, status: str = "completed") -> None:
    run = FlowNode.objects.get(flow_id=flow, name=name).pk
    version = Run.objects.get(pk=run).version
    end(claim(run, seq=version), status=status, at=clock(), result=3)


def finished(flow: UUID) -> UUID:
    for name in ("validate", "charge", "stock", "ship"):
        ended(flow, name)
    return flow


def failed(flow: UUID) -> UUID:
    ended(flow, "validate")
    ended(flow, "stock")
    ended(flow, "charge", "failed")
    return flow


def page_of(flow: UUID) -> str:
    return reverse("admin:openqueue_flow_change", args=[flow])


def act(client: Any, flow: UUID, name: str, **fields: str) -> Any:
    return client.post(page_of(flow), {"act": name, "on": str(flow), **fields}, headers=SCRIPTED)


def test_flows_are_listed_with_how_far_they_are(admin_client):
    flow = a_flow()
    ended(flow, "validate")
    page = text(admin_client.get(ALL))
    assert page_of(flow) in page
    assert "1 completed, 2 running, 1 waiting" in page
    assert "so far" in page
    done = finished(a_flow("done"))
    page = text(admin_client.get(ALL, {"status": "completed"}))
    assert page_of(done) in page
    assert page_of(flow) not in page
    assert "No flow is like that." in text(admin_client.get(ALL, {"name": "ord"}))


def test_without_flows_the_page_says_what_one_is(admin_client):
    assert "A flow is several tasks with dependencies:" in text(admin_client.get(ALL))


def test_flows_are_paged(admin_client):
    flows = [a_flow(f"flow {number}") for number in range(51)]
    page = text(admin_client.get(ALL))
    assert page_of(flows[0]) not in page
    assert f"after={flows[1]}" in page
    page = text(admin_client.get(ALL, {"after": str(flows[1])}))
    assert page_of(flows[0]) in page
    assert page_of(flows[50]) in text(admin_client.get(ALL, {"after": "x"}))


def test_a_flow_shows_its_graph_its_steps_and_its_policy(admin_client):
    flow = failed(a_flow())
    page = text(admin_client.get(page_of(flow)))
    assert page.count("oq-node oq-c-") == 4
    assert page.count('id="oq-node-') == 4
    assert "those that wait for it fail as well" in page
    assert "the task raised an error" in page
    assert "a step that it waits for failed" in page


def test_a_step_opens_in_a_panel_with_its_error(client, admin_client):
    flow = failed(a_flow())
    page = text(admin_client.get(page_of(flow), {"step": "charge"}))
    assert 'id="oq-step"' in page
    assert "no such order" in page
    assert "oq-selected" in page
    assert "step=ship" in page.partition("Waited for by")[2]
    run = FlowNode.objects.get(flow_id=flow, name="charge").pk
    assert str(run) in page or reverse("admin:openqueue_run_change", args=[run])
    log_in(client, "view_flow")
    page = text(client.get(page_of(flow), {"step": "charge"}))
    assert "no such order" not in page
    assert "openqueue/run/" not in page
    assert 'id="oq-step"' not in text(admin_client.get(page_of(flow), {"step": "none"}))


def test_an_unfinished_one_is_read_again_a_finished_one_is_not(admin_client):
    flow = a_flow()
    page = text(admin_client.get(page_of(flow)))
    assert 'data-every="fast"' in page
    finished(flow)
    assert "data-every" not in text(admin_client.get(page_of(flow)))
    assert "oq-trigger" not in text(admin_client.get(page_of(flow), {"_part": "flow"}))


def test_what_waits_for_an_operator_is_not_in_a_hurry(admin_client):
    flow = failed(a_flow(policy="block"))
    assert Flow.objects.get().status == "blocked"
    page = text(admin_client.get(page_of(flow)))
    assert 'data-every="tick"' in page
    assert "blocked by" in page


def test_crowded_steps_are_a_group_that_opens_and_closes(admin_client):
    flow = enqueue_flow(group([add.bind(a=1, b=n) for n in range(70)], then=add.bind(a=1, b=2))).id
    page = text(admin_client.get(page_of(flow)))
    assert "add × 70" in page
    assert "expand=add%400" in page
    page = text(admin_client.get(page_of(flow), {"expand": "add@0"}))
    assert "add × 70" not in page
    assert "Open groups:" in page


def test_steps_are_narrowed_and_paged(admin_client):
    flow = enqueue_flow(chain(*[add.bind(a=1, b=n) for n in range(150)])).id
    page = text(admin_client.get(page_of(flow)))
    assert page.count('id="oq-node-') == 100
    assert text(admin_client.get(page_of(flow), {"from": "100"})).count('id="oq-node-') == 50
    assert text(admin_client.get(page_of(flow), {"state": "queued"})).count('id="oq-node-') == 1


def test_retry_asks_which_steps_and_begins_them_anew(admin_client):
    flow = failed(a_flow())
    page = text(act(admin_client, flow, "retry"))
    assert "2 failed" in page
    assert "charge, ship" in page
    page = text(act(admin_client, flow, "retry", confirmed="1", reason="paid"))
    assert "begin anew" in page
    assert 'data-every="fast"' in page
    assert Flow.objects.get().finished_at is None
    assert AuditLog.objects.get().reason == "paid"


def test_cancel_asks_and_shows_the_flow_as_it_is_then(admin_client):
    flow = a_flow()
    assert "Wait, and end at once" in text(act(admin_client, flow, "cancel"))
    page = text(act(admin_client, flow, "cancel", confirmed="1"))
    assert "The flow is cancelled." in page
    assert "It has ended." in page


def test_an_act_that_does_not_fit_is_disabled_and_says_why(admin_client):
    page = text(admin_client.get(page_of(finished(a_flow()))))
    assert "Every step that has ended completed." in page
    assert "It has ended." in page
    assert page.count(" disabled ") == 2


@pytest.mark.parametrize("name", ["retry", "cancel"])
def test_without_the_right_an_act_is_absent_and_a_hand_made_one_refused(client, name):
    flow = failed(a_flow())
    before = Flow.objects.get().status
    log_in(client, "view_flow")
    assert f'value="{name}"' not in text(client.get(page_of(flow)))
    text(act(client, flow, name, confirmed="1"), status=403)
    assert list(AuditLog.objects.values_list("actor", "act")) == [("vera", "refused")]
    assert Flow.objects.get().status == before


def test_parts_are_refused_without_the_right_and_what_is_gone_says_so(client, admin_client):
    flow = a_flow()
    text(admin_client.get(page_of(uuid4())), status=404)
    log_in(client, "view_run")
    for at in (ALL, page_of(flow)):
        for part in ("", "?_part=flows", "?_part=flow"):
            text(client.get(at + part), status=403)


def test_names_are_shown_as_text(admin_client):
    flow = Graph(EVIL[:60])
    flow.add(add.bind(a=1, b=2), name=EVIL[:60])
    made = enqueue_flow(flow).id
    for at in (ALL, page_of(made), page_of(made) + "?step=" + EVIL[:60]):
        assert is_harmless(text(admin_client.get(at)))
    assert is_harmless(text(act(admin_client, made, "retry")))


@pytest.mark.parametrize("size", [2, 200])
def test_pages_cost_at_most_twelve_statements(client, admin_client, size, django_assert_max_num_queries):
    flow = enqueue_flow(group([add.bind(a=1, b=n) for n in range(size)], then=add.bind(a=1, b=2))).id
    for _ in range(size // 10):
        a_flow()
    log_in(client, "view_flow", "view_run", "view_payload", "view_auditlog", "retry_flow", "cancel_flow")
    for who in (client, admin_client):
        for at in (ALL, page_of(flow), page_of(flow) + "?step=add-2"):
            with django_assert_max_num_queries(12):
                text(who.get(at))


def test_a_thousand_steps_are_shown_at_once(admin_client):
    flow = enqueue_flow(group([add.bind(a=1, b=n) for n in range(999)], then=add.bind(a=1, b=2))).id
    admin_client.get(page_of(flow))
    began = time.process_time()
    text(admin_client.get(page_of(flow)))
    assert time.process_time() - began < 1.0  # 0.3 s where nothing is traced
