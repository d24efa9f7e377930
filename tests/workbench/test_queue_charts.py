"""The charts of a queue's depth and oldest wait: numbers behind them, zero as zero, gaps where nobody counted."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from openqueue.core import depths
from openqueue.models import QueueDepth, RollupMark
from openqueue.store.depths import Depth
from openqueue.store.endings import floor
from tests.control.builders import clock, make_run, make_worker
from tests.workbench.staff import read, staff, where

pytestmark = pytest.mark.django_db
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def seen(at, **queues: Depth) -> None:
    rows = {"": Depth(), **queues}
    QueueDepth.objects.bulk_create(depths.row(60, at, queue, [depth]) for queue, depth in rows.items())


def rows_of(page: str, caption: str) -> list[list[str]]:
    """Return the cells of the table behind a chart."""
    table = page.split(f"<caption>{caption}", 1)[1].split("</table>", 1)[0]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table.split("<tr>")[2:]]


def test_the_numbers_behind_the_charts_are_those_that_were_seen_and_end_with_now(admin_client):
    at = floor(clock(), timedelta(minutes=2))
    seen(at - 10 * MINUTE, mail=Depth(ready=30, held=2, delayed=7, running=4, oldest=90.0))
    seen(at - 9 * MINUTE, mail=Depth(ready=3, running=4, oldest=5.0))
    seen(at - 4 * MINUTE, other=Depth(ready=1))
    make_run(queue="mail", at=clock() - timedelta(seconds=30))
    make_run(queue="mail", status="running")
    page = read(admin_client, "queue_change", "mail", period="1h", _part="depth")
    depth = rows_of(page, "Depth: most at a time, every 2 minutes")
    waits = rows_of(page, "Oldest wait: longest, every 2 minutes")
    assert len(depth) == len(waits) == 31
    assert depth[-6][1:] == ["4", "30", "2", "36", "7", "7"]
    assert depth[-5][1:] == ["–"] * 6
    assert depth[-3][1:] == ["0"] * 6
    assert depth[-1][1:] == ["1", "1", "0", "2", "0", "2"]
    assert [waits[-6][1], waits[-5][1], waits[-3][1]] == ["1 min 30 s", "–", "0 s"]
    assert "Where a line is broken nobody counted" in page
    assert "so far" in depth[-1][0]


@pytest.mark.parametrize("period", ["1h", "24h", "7d", "30d"])
def test_each_period_is_drawn_within_its_statements_and_chosen_by_a_link(
    admin_client, period, django_assert_max_num_queries
):
    at = floor(clock(), HOUR)
    for minutes in range(5, 200, 60):
        seen(at - minutes * MINUTE, mail=Depth(ready=5, oldest=1.0))
    depths.gather()
    make_run(queue="mail")
    for name in ("minutes", "hours", "days"):  # as they are while anybody sweeps
        RollupMark.objects.create(name=name, until=clock() - timedelta(seconds=70), sure_until=clock())
    page = read(admin_client, "queue_change", "mail", period=period)
    assert f'period={period}" aria-current="true"' in page
    for part in ("depth", "charts"):
        with django_assert_max_num_queries(12):
            drawn = read(admin_client, "queue_change", "mail", period=period, _part=part)
        assert drawn.count("Show as table") == {"depth": 2, "charts": 0}[part]  # nothing has ended
    with django_assert_max_num_queries(12):
        read(admin_client, "queue_change", "mail", period=period)


def test_minutes_without_a_gap_are_drawn_without_a_word_about_gaps(admin_client):
    at = floor(clock(), MINUTE)
    for minute in range(64):
        seen(at - minute * MINUTE)
    make_worker(queues=["mail"])
    make_run(queue="mail")
    page = read(admin_client, "queue_change", "mail", period="1h", _part="depth")
    assert "nobody counted" not in page
    assert "oq-c-queued" in page


def test_a_period_that_is_not_kept_is_refused_in_words(admin_client, settings):
    settings.OPENQUEUE = {"RETENTION": {"hours": 1}}
    make_run(queue="mail")
    depths.look()
    seen(floor(clock(), HOUR) - 30 * MINUTE)
    depths.gather()
    assert "are kept for 1 day" in read(admin_client, "queue_change", "mail", period="30d", _part="depth")


def test_who_may_not_see_queues_sees_no_chart():
    make_run(queue="mail")
    assert staff("view_run").get(where("queue_change", "mail"), {"_part": "depth"}).status_code == 403
    assert "Show as table" in read(
        staff("view_queuestate", name="ada"), "queue_change", "mail", _part="depth"
    )
