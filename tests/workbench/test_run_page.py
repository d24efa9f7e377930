from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest

from openqueue.core import rollups
from openqueue.models import Run, RunEvent
from openqueue.store import store
from openqueue.types import LogLine, Progress
from tests.control.builders import NOW, clock, log_in, make_run, make_worker, pause
from tests.workbench.conftest import VIEWER, text, to
from tests.workbench.test_runs_page import EVIL

pytestmark = pytest.mark.django_db


def shown(client, run, **query) -> str:
    return text(client.get(to("run_change", run), query))


def log(run, *lines: str, level: int = 20) -> None:
    store().note(progress=[], logs=[LogLine(run, 1, level, line, 0.0) for line in lines])


def test_a_failed_run_tells_why_before_anything_else(admin_client):
    run = make_run(status="failed", at=clock() - timedelta(minutes=1), seconds=1.5, tags=["nightly"])
    page = shown(admin_client, run)
    assert "attempt 1 of" in page
    assert page.index("no such order") < page.index('class="oq-facts"')
    for fact in (str(run), "app.add", "default", "nightly", "took 1.5 s"):
        assert fact in page


def test_own_frames_come_first_and_those_of_libraries_are_folded(admin_client):
    run = make_run(status="failed")
    frames = [
        (
            '/venv/lib/python3.13/site-packages/django/db/models.py", line 7, in get',
            "raise self.model.DoesNotExist",
        ),
        ('/srv/shop/orders.py", line 42, in charge', "order = Order.objects.get(pk=pk)"),
    ]
    trace = "Traceback (most recent call last):\n" + "".join(
        f'  File "{place}\n    {line}\n    ^^^^^\n' for place, line in frames[::-1]
    )
    Run.objects.filter(pk=run).update(error={"type": "DoesNotExist", "message": "no", "traceback": trace})
    page = shown(admin_client, run)
    own = re.search(r'<pre class="oq-frame">([^<]*)</pre>', page)
    assert own is not None
    assert "orders.py" in own[1]
    assert "Order.objects.get(pk=pk)" in own[1]
    assert "models.py" not in own[1]
    assert "1 library frame, and the whole traceback" in page


def test_the_same_error_in_other_runs_is_counted(admin_client):
    at = clock() - timedelta(minutes=10)
    run = make_run(status="failed", at=at)
    for _ in range(2):
        make_run(status="failed", at=at)
    rollups.advance(minutes=60, now=clock())
    assert "The same error in 2 other runs" in shown(admin_client, run)


def test_the_timeline_shows_waiting_and_each_attempt_with_its_worker(admin_client):
    run = make_run(status="retrying", worker=make_worker())
    page = shown(admin_client, run)
    assert "Waiting in queue" in page
    assert "Attempt 1" in page
    assert "web-1:4711" in page
    assert "Back-off" in page


def test_a_finished_run_asks_for_nothing_again_and_an_unfinished_one_does(admin_client):
    finished, waiting = make_run(status="completed"), make_run()
    for tab in ("timeline", "arguments", "result", "logs", "events"):
        assert "data-every" not in shown(admin_client, finished, tab=tab)
    assert shown(admin_client, waiting).count('data-every="fast"') == 2


def test_why_it_has_not_started_is_said(admin_client):
    run = make_run(queue="mail")
    assert "No worker serves the queue mail" in shown(admin_client, run)
    make_worker(queues=["mail"])
    make_run(queue="mail")
    page = shown(admin_client, run)
    assert "Waiting for a worker." in page
    assert "Position 1 of 2 in the queue." in page
    pause("mail")
    assert "Held: queue paused by ada: provider is down" in shown(admin_client, run)
    later = make_run(status="scheduled", queue="mail")
    assert "Due in 60 min" in shown(admin_client, later) or "Due in 1 h" in shown(admin_client, later)


def test_the_place_in_the_queue_follows_priority_and_time(admin_client):
    first = make_run(at=clock() - timedelta(minutes=1))
    last = make_run()
    assert "Position 1 of 2" in shown(admin_client, first)
    assert "Position 2 of 2" in shown(admin_client, last)


def test_a_running_run_shows_its_progress(admin_client):
    run = make_run(status="running", worker=make_worker())
    store().note(progress=[Progress(run, 1, '{"percent":40,"message":"page 4 of 10"}')], logs=[])
    page = shown(admin_client, run)
    assert "page 4 of 10" in page
    assert 'value="40.0"' in page
    assert "so far" in page


def test_arguments_are_shown_by_key_masked_and_folded_beyond_twenty(admin_client):
    run = make_run(task=log_in, payload={"user": "ada", "password": "hunter22"})
    page = shown(admin_client, run, tab="arguments")
    assert "••• redacted" in page
    assert "ada" in page
    assert "hunter22" not in page
    assert "$secret" not in page
    Run.objects.filter(pk=run).update(payload={f"key{number}": number for number in range(25)})
    page = shown(admin_client, run, tab="arguments")
    assert "5 more keys" in page
    assert "data-copy=" in page


def test_the_result_is_shown_with_its_size(admin_client):
    run = make_run(status="completed", result={"total": 12})
    page = shown(admin_client, run, tab="result")
    assert "total" in page
    assert "12 bytes" in page
    assert "There is no result: the run is queued." in shown(admin_client, make_run(), tab="result")


def test_events_say_from_what_to_what_by_whom(admin_client):
    run = make_run(status="cancelled")
    page = shown(admin_client, run, tab="events")
    assert re.search(r"Queued</span>\s*<span[^>]*>→</span>.*Cancelled</span>", page, re.DOTALL)
    assert "somebody" in page


def test_a_log_is_followed_line_by_line_and_no_line_comes_twice(admin_client):
    run = make_run(status="running", worker=make_worker())
    log(run, "one", "two")
    page = shown(admin_client, run, tab="logs")
    assert re.findall(r'class="oq-said">([^<]*)<', page) == ["one", "two"]
    ask = re.search(r'<div id="oq-part-log"[^>]* oq-get="([^"]+)"', page)[1].replace("&amp;", "&")
    assert admin_client.get(ask).status_code == 204
    log(run, "three")
    page = text(admin_client.get(ask))
    assert re.findall(r'class="oq-said">([^<]*)<', page) == ["three"]
    again = re.search(r'<div id="oq-part-log"[^>]* oq-get="([^"]+)"', page)[1].replace("&amp;", "&")
    assert again != ask


def test_following_a_log_ends_with_the_run(admin_client):
    run = make_run(status="running", worker=make_worker())
    ask = re.search(r'id="oq-part-log"[^>]* oq-get="([^"]+)"', shown(admin_client, run, tab="logs"))[1]
    Run.objects.filter(pk=run).update(status="completed", outcome="completed")
    answer = admin_client.get(ask.replace("&amp;", "&"))
    assert answer.status_code == 200
    assert "oq-get" not in answer.content.decode()


def test_a_log_is_found_by_level_and_text_and_taken_away_as_text(admin_client):
    run = make_run(status="completed")
    log(run, "all is well", "rendering")
    log(run, "disk is full", level=40)
    assert "all is well" not in shown(admin_client, run, tab="logs", level="40")
    page = shown(admin_client, run, tab="logs", text="WELL")
    assert "all is well" in page
    assert "rendering" not in page
    answer = admin_client.get(to("run_change", run), {"download": "1"})
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run}.log"'
    assert answer["Content-Type"].startswith("text/plain")
    assert "ERROR disk is full" in answer.content.decode()


def test_who_may_not_see_what_runs_carry_sees_neither_data_nor_logs(staff):
    run = make_run(status="failed", result={"total": 12}, payload={"a": 77_001, "b": 2})
    log(run, "rendering")
    client = staff("view_run")
    for tab in ("timeline", "arguments", "result", "logs", "events"):
        page = shown(client, run, tab=tab)
        for secret in ("no such order", "77001", "rendering", "?tab=arguments", "?tab=logs"):
            assert secret not in page
    assert client.get(to("run_change", run), {"download": "1"}).status_code == 403
    assert client.get(to("run_change", run), {"_part": "log"}).status_code == 403


def test_a_run_that_is_gone_says_what_became_of_it(admin_client):
    assert "retention deleted it" in text(admin_client.get(to("run_change", uuid4())), 404)
    part = admin_client.get(to("run_change", uuid4()), {"_part": "head"})
    assert part.status_code == 404


def test_planted_markup_is_text(admin_client):
    run = make_run(status="failed", tags=[EVIL], meta={EVIL: EVIL})
    log(run, EVIL)
    Run.objects.filter(pk=run).update(
        payload={EVIL: EVIL},
        result=EVIL,
        dedupe_key=EVIL,
        error={
            "type": EVIL,
            "message": EVIL,
            "traceback": f'  File "{EVIL}", line 1, in {EVIL}\n    {EVIL}\n',
        },
        traceparent=f"00-{EVIL}-1-1",
    )
    RunEvent.objects.update(
        data={"reason": EVIL, "worker": EVIL, "error": {"type": EVIL, "message": EVIL}}, actor=EVIL
    )
    for tab in ("timeline", "arguments", "result", "logs", "events"):
        page = shown(admin_client, run, tab=tab)
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("tab", ["timeline", "arguments", "result", "logs", "events"])
@pytest.mark.parametrize("status", ["queued", "running", "retrying", "failed", "completed"])
def test_a_page_takes_twelve_statements_at_most(status, tab, staff, django_assert_max_num_queries):
    run = make_run(status=status, **({"worker": make_worker()} if status == "running" else {}))
    log(run, *["line"] * 30)
    client = staff(*VIEWER, "retry_run", "view_worker")
    with django_assert_max_num_queries(12):
        shown(client, run, tab=tab)


def test_moments_are_in_the_readers_zone_with_utc_behind(admin_client):
    run = make_run(status="completed", at=NOW)
    assert "2027-03-01 09:00:00 UTC" in shown(admin_client, run)
