"""What each field finds, and what is said of one that cannot be read."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue.control.run_ids import earliest_at
from openqueue.control.search import KNOWN, page, read
from openqueue.ids import uuid7
from openqueue.models import Run
from openqueue.states import Status
from tests.control.builders import clock, log_in, make_run, make_worker

pytestmark = pytest.mark.django_db


def ids(text, *, sees_payloads=True, **options):
    found = page(text, sees_payloads=sees_payloads, **options)
    assert list(found.problems) == []
    return [run.id for run in found.runs]


@pytest.mark.parametrize(
    "text",
    ["queue:mail", "queue:none,mail", "-queue:default", "task:tests.log_in", "task:log_in", "tag:vip", "-tag:dull",
     "tag:none,vip", "-status:queued status:failed", "error:ValueError", 'error:"no such"', "ValueError", "log_in",
     "attempt:1", "schedule:7", "queue:mail tag:vip boom -error:Traceback error:boom", "-attempt:0"],
)  # fmt: skip
def test_a_field_finds_the_run_that_it_is_about(text):
    make_run(tags=["dull"])
    wanted = make_run(
        status="failed", task=log_in, payload={"user": "ada", "password": "x"}, queue="mail", tags=["vip"]
    )
    error = {"type": "shop.errors.ValueError", "message": 'no such "boom"', "traceback": "Traceback ..."}
    Run.objects.filter(pk=wanted).update(error=error, schedule_id=7)
    assert ids(text) == [wanted]


@pytest.mark.parametrize("status", ["queued", "running", "failed"])
def test_conditions_hold_wherever_the_run_is(status):
    make_run(status=status)
    wanted = make_run(status=status, queue="mail", tags=["vip"])
    Run.objects.filter(pk=wanted).update(
        schedule_id=7, error={"type": "E", "message": "odd", "traceback": "t"}
    )
    for text in ("queue:mail", "tag:vip", "schedule:7", "error:odd", f"id:{wanted}"):
        assert ids(f"status:{status} {text}") == [wanted], text
        assert wanted not in ids(f"status:{status} -{text}"), text


def test_a_condition_on_what_a_run_has_not_is_fulfilled_by_its_negation():
    run = make_run()
    for text in (
        "-tag:x",
        "-error:x",
        "-worker:web-1",
        f"-flow:{uuid4()}",
        "-schedule:1",
        "-boom",
        "-args.a:9",
    ):
        assert ids(text) == [run], text


def test_an_error_is_found_by_its_class_or_message_and_not_by_its_traceback():
    run = make_run(status="failed")
    assert ids("error:ValueError") == ids('error:"no such order"') == [run]
    assert ids("error:Traceback") == []


def test_a_worker_is_meant_by_its_id_its_host_or_its_process():
    worker = make_worker()
    run = make_run(status="running", worker=worker)
    make_run(status="running")
    for text in (f"worker:{worker}", f"worker:{worker.hex[:12]}", "worker:web-1", "worker:web-1:4711"):
        assert ids(text) == ids(f"status:running {text}") == [run], text
    assert ids("worker:web-1:1") == ids("worker:web-2") == []


def test_a_flow_is_meant_by_its_id_or_its_beginning():
    run, flow = make_run(), uuid4()
    Run.objects.filter(pk=run).update(flow_id=flow)
    make_run()
    assert ids(f"flow:{flow}") == ids(f"flow:{flow.hex[:10]}") == [run]


@pytest.mark.parametrize("form", ["{}", "id:{}", "{:.13}"])
def test_a_pasted_id_is_the_only_row(form):
    make_run(at=clock() - timedelta(hours=1))
    wanted = make_run(id=UUID(int=uuid7().int - (1 << 110)))  # months ago
    make_run()
    assert ids(form.format(str(wanted))) == [wanted]


def test_an_id_is_found_whatever_its_status_and_not_under_another():
    for status in ("queued", "scheduled", "running", "retrying", "failed"):
        run = make_run(status=status)
        assert ids(f"id:{run} status:{status}") == [run]
        assert ids(f"id:{run} -status:{status}") == []


def test_arguments_are_searched_by_those_who_may_see_them():
    wanted = make_run(task=log_in, payload={"user": "ada l", "password": "x"})
    make_run(task=log_in, payload={"user": "eve", "password": "x"})
    number = make_run(payload={"a": 7, "b": 2})
    assert ids('args.user:"ada l"') == [wanted]
    assert ids("args.a:7") == ids("args.a:1,7 -args.b:3 args.b:2") == [number]
    found = page("args.a:7")
    assert len(found.runs) == 3
    assert "may see payloads" in found.problems[0].message


def test_an_argument_is_found_deep_in_another():
    run = make_run()
    Run.objects.filter(pk=run).update(
        payload={"order": {"lines": [{"sku": "x-1"}], "paid": True, "rate": None}}
    )
    for text in ("args.order.lines.0.sku:x-1", "args.order.paid:true"):
        assert ids(text) == [run], text
    for text in ("args.order.paid:false", "args.order.rate:x", "args.order.lines.1.sku:x-1", "args.none:x"):
        assert ids(text) == [], text


def test_a_period_is_about_the_creation_or_with_final_statuses_about_the_end():
    at = clock() - timedelta(hours=3)
    old, late = (UUID(int=earliest_at(at).int + n) for n in (1, 2))
    make_run(at=at, id=old)
    make_run(status="completed", at=at, id=late, seconds=3 * 3_600 - 5)
    new = make_run()
    assert ids("since:1h") == [new]
    assert ids("before:1h") == [late, old]
    assert ids("status:completed,failed since:1h") == [late]
    assert ids("status:completed before:1h") == []
    assert ids(f"since:{(clock() - timedelta(hours=1)).isoformat()} status:queued") == [new]
    assert ids("status:queued before:1h since:4h") == [old]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("que:mail", "Unknown field `que:`. Known: status, queue,"),
        ("status:broken", "There is no status 'broken'. Known: scheduled, queued,"),
        ("since:yesterday", "'yesterday': write how long ago (10m, 2h, 1d) or a moment"),
        ("since:2027-99-01", "'2027-99-01': write how long ago"),
        ("since:9999999d", "write how long ago"),
        ("before:1h,2h", "Write one moment"),
        ("-since:1h", "Write one moment, without a minus"),
        ("id:xyz", "'xyz' is no run's id"),
        ("flow:12", "'12' is no flow's id"),
        ("attempt:two", "'two' is not a whole number"),
        ("schedule:99999999999999999999", "is not a whole number"),
        ("queue:", "Write what it should be, as in `queue:value`"),
        ("queue:a\0b", "No text in a database holds such characters"),
        ("args.a-b:x", "Write names with dots between them"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_list_stays(text, complaint):
    run = make_run()
    found = page(text, sees_payloads=True)
    assert [r.id for r in found.runs] == [run]
    ((message,), fields) = [p.message for p in found.problems], [p.field for p in found.problems]
    assert complaint in message
    assert fields == [text.lstrip("-").partition(":")[0]]
    assert found.text == ""


def test_who_may_not_see_payloads_cannot_ask_for_what_they_hold():
    run = make_run(status="failed", task=log_in, payload={"user": "ada", "password": "x"})
    Run.objects.filter(pk=run).update(error={"type": "E", "message": "of ada", "traceback": ""})
    for text in ("args.user:ada", "error:ada"):
        found = page(text)
        assert ("only by those who may see payloads" in found.problems[0].message, len(found.problems)) == (
            True,
            1,
        )
        assert ids(text) == [run]
    assert (ids("ada"), ids("ada", sees_payloads=False)) == ([run], [])


def test_a_search_without_end_is_cut_and_says_so():
    found = read("x " * 5_000)
    assert [p.message for p in found.problems] == [
        "Only the first 2000 characters count.", "Only the first 30 terms count.",
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*(k.replace("<path>", "a") for k in KNOWN), "", "-status", "no"]),
            st.text(max_size=10) | st.sampled_from(["failed", "1h", "7", "019f0000", *Status]),
        ),
        max_size=4,
    )
)
def test_no_search_is_an_error(parts):
    text = " ".join(f"{field}:{value}" if field else value for field, value in parts)
    page(text, sees_payloads=True)
