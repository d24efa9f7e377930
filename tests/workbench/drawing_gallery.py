"""Everything that the Workbench draws on one page, to be looked at: `python -m tests.workbench.drawing_gallery`."""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.contrib.staticfiles import finders
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from openqueue_workbench.drawing import graph, histogram, inline, percentiles, waterfall
from openqueue_workbench.drawing.bars import Bar, stacked
from openqueue_workbench.drawing.frame import Frame
from openqueue_workbench.drawing.groups import Step
from openqueue_workbench.drawing.levels import Level, areas, oldest
from openqueue_workbench.drawing.percentiles import Point
from openqueue_workbench.drawing.waterfall import Phase
from tests.workbench.test_layout import random_graph

NOW = datetime(2026, 11, 27, 11, 36, 5, tzinfo=UTC)


def page(*, theme: str = "auto", direction: str = "ltr", only: str = "") -> str:
    style = Path(finders.find("openqueue_workbench/drawing.css")).read_text()
    ground = "#121212" if theme == "dark" else "#fff"
    sections = "".join(f"<h2>{name}</h2>{section()}" for name, section in SECTIONS.items() if only in name)
    return (
        f'<!doctype html><html lang="en" data-theme="{theme}" dir="{direction}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>Drawings</title><style>{style}\n'
        f"body{{font:14px system-ui,sans-serif;margin:24px;background:{ground}}}\n"
        f"h2{{color:#888;font-size:14px;margin:20px 0 8px}}"
        f"</style>{sections}</html>"
    )


def per_hour() -> SafeString:
    dice = random.Random(7)
    start = NOW.replace(minute=0, second=0) - timedelta(hours=23)
    bars = []
    for hour in range(24):
        since = start + timedelta(hours=hour)
        failed = {5: 2, 14: 34, 15: 20, 20: 1}.get(hour, 0)
        bars.append(
            Bar(
                since=since,
                before=min(NOW, since + timedelta(hours=1)),
                counts={"completed": 0 if hour == 9 else dice.randint(40, 260), "failed": failed},
                url=f"?since={since.isoformat()}",
                is_running=hour == 23,
            )
        )
    frame = Frame(id="per-hour", title="Finished per hour", since=start, before=NOW)
    return stacked(frame, bars, order=("completed", "failed"))


def standing() -> SafeString:
    """A queue that was paused, and a quarter of an hour in which nobody swept."""
    start = NOW.replace(minute=36, second=0) - timedelta(hours=1)
    drawn = []
    for number in range(31):
        since = start + timedelta(minutes=2 * number)
        before = min(NOW, since + timedelta(minutes=2))
        if 9 <= number < 14:
            drawn.append(Level(since=since, before=before))
            continue
        is_paused = 16 <= number < 24
        backlog = 0 if number < 3 else 40 + abs(20 - number) * 15
        drawn.append(
            Level(
                since=since, before=before, running=0 if is_paused else 20, ready=0 if is_paused else backlog,
                held=backlog if is_paused else 0, delayed=7, oldest=backlog * 1.5, last=backlog + 20,
                is_running=number == 30,
            )
        )  # fmt: skip
    frames = [
        Frame(id=key, title=title, since=start, before=NOW)
        for key, title in (("depth", "Depth: most at a time"), ("oldest", "Oldest wait: longest"))
    ]
    return areas(frames[0], drawn) + oldest(frames[1], drawn)


def checkout() -> SafeString:
    rows = [
        ("orders", "completed", (), 1.2, ""),
        ("refunds", "completed", (), 0.8, ""),
        ("fx", "completed", (), 0.3, ""),
        ("assemble", "completed", ("orders", "refunds", "fx"), 3.4, ""),
        ("pdf", "running", ("assemble",), 12.0, ""),
        ("chart", "failed", ("fx", "assemble"), None, "attempt 3/3"),
        ("mail", "waiting", ("pdf", "chart"), None, "blocked by chart"),
        ("index-of-everything-that-was-ever-bought", "completed", ("assemble",), 0.9, ""),
    ]
    steps = [
        Step(key=name, name=name, status=status, after=after, seconds=seconds, note=note, url=f"?step={name}")
        for name, status, after, seconds, note in rows
    ]
    return graph.drawn("checkout", steps, selected="pdf")


def crowd() -> SafeString:
    failed, running = {17, 88, 203}, {239}
    steps = [Step(key="split", name="split", status="completed", seconds=2.0, url="?step=split")]
    for number in range(240):
        status = "failed" if number in failed else "running" if number in running else "completed"
        steps.append(Step(key=f"r{number}", name=f"resize-{number}", status=status, after=("split",)))
    above = tuple(step.key for step in steps[1:])
    steps.append(
        Step(
            key="join",
            name="join",
            status="waiting",
            after=above,
            note="blocked by resize-17",
            url="?step=join",
        )
    )
    return graph.drawn("crowd", steps, opens=lambda key: f"?expand={key}")


def tangle() -> SafeString:
    nodes, edges = random_graph(28, seed=5, layers=7)
    return graph.drawn(
        "tangle",
        [
            Step(
                key=node,
                name=f"step {node}",
                status=("completed", "failed", "cancelled", "retrying", "queued", "expired")[index % 6],
                after=[a for a, b in edges if b == node],
                seconds=index * 17.3,
                url=f"?step={node}",
            )
            for index, node in enumerate(nodes)
        ],
    )


def cells() -> SafeString:
    dice = random.Random(3)
    values = [dice.randint(0, 40) for _ in range(30)]
    order = ("completed", "running", "failed", "waiting")
    past = [
        inline.Past(
            status=dice.choice(
                ["completed"] * 9 + ["failed", "cancelled", "expired", "running", "queued", "retrying"]
            ),
            url=f"?run={index}",
            said=f"27 Nov {index // 3:02}:00, took {index} s",
        )
        for index in range(60)
    ]
    shown = [
        inline.sparkline("spark-1", values, title="Started per minute, last 30 minutes", is_running=True),
        inline.sparkline("spark-2", [None, 3, 4, None, None, 5, None, 2, 1, 1, 9, None], title="With gaps"),
        inline.sparkline("spark-3", [0] * 30, title="Nothing"),
        inline.sparkline("spark-4", [], title="No data"),
        inline.segmented({"completed": 5, "running": 1, "failed": 1, "waiting": 1}, order=order),
        inline.segmented({"completed": 12_345, "running": 1, "failed": 1}, order=order),
        inline.segmented({}, order=order),
        inline.slots(14, of=24),
        inline.slots(3, of=3),
        inline.slots(1, of=400),
        inline.slots(0, of=0),
        inline.strip("strip", past, title="Last 60 runs of nightly-report"),
    ]
    return format_html_join("", "<div style='padding:5px 0'>{}</div>", ((one,) for one in shown))


def run_time() -> SafeString:
    dice = random.Random(11)
    start = NOW.replace(minute=0, second=0) - timedelta(hours=23)
    points = []
    for hour in range(24):
        since = start + timedelta(hours=hour)
        p50 = None if hour in {6, 7, 9} else dice.uniform(0.4, 1.4)
        points.append(
            Point(
                since=since,
                before=since + timedelta(hours=1),
                p50=p50,
                p95=None if p50 is None else p50 * dice.uniform(1.5, 6),
                runs=0 if p50 is None else dice.randint(5, 300),
                is_running=hour == 23,
            )
        )
    return percentiles.lines(Frame(id="run-time", title="Run time", since=start, before=NOW), points)


def how_long() -> SafeString:
    dice = random.Random(5)
    counts: dict[int, int] = {}
    for _ in range(4_000):
        bucket = max(0, round(dice.gauss(40, 5) if dice.random() < 0.9 else dice.gauss(58, 2)))
        counts[bucket] = counts.get(bucket, 0) + 1
    found = histogram.bins(counts, upto=lambda bucket: 0.001 * 2 ** (bucket / 4))
    frame = Frame(id="took", title="How long runs took", since=NOW - timedelta(hours=24), before=NOW)
    return histogram.drawn(frame, found)


def empty() -> SafeString:
    return stacked(
        Frame(id="none", title="Finished per hour", since=NOW - timedelta(hours=24), before=NOW), [], order=()
    )


def charge_card() -> SafeString:
    def at(seconds: float) -> datetime:
        return NOW + timedelta(seconds=seconds)

    error = "UpstreamTimeout: POST https://psp.example/charge timed out after 1 s"
    return waterfall.drawn(
        "charge",
        [
            Phase(kind="waiting", label="Waiting in queue", since=at(0), until=at(2.1)),
            Phase(
                kind="attempt",
                label="Attempt 1",
                since=at(2.1),
                until=at(3.3),
                status="failed",
                note=error,
                worker="web-2:4711",
            ),
            Phase(kind="backoff", label="Back-off", since=at(3.3), until=at(5.3)),
            Phase(
                kind="attempt",
                label="Attempt 2",
                since=at(5.3),
                until=at(6.4),
                status="failed",
                note=error,
                worker="web-1:17",
            ),
            Phase(kind="backoff", label="Back-off", since=at(6.4), until=at(8.4)),
            Phase(
                kind="attempt",
                label="Attempt 3",
                since=at(8.4),
                status="running",
                worker="web-2:4711",
                worker_url="#",
                url="#",
            ),
            Phase(
                kind="moment", label="Step “reserve” done", since=at(8.9), until=at(8.9), status="completed"
            ),
        ],
        now=at(9.4),
    )


def nightly() -> SafeString:
    def at(seconds: float) -> datetime:
        return NOW + timedelta(seconds=seconds)

    day = 14 * 3_600 + 12
    children = [
        Phase(
            kind="child",
            label=f"resize {n}",
            since=at(day + 41 + n * 0.2),
            until=at(day + 41.5 + n * 0.2),
            url="#",
            status="failed" if n in {50, 57} else "completed",
        )
        for n in range(60)
    ]
    return waterfall.drawn(
        "nightly",
        [
            Phase(kind="waiting", label="Delayed", since=at(0), until=at(day)),
            Phase(
                kind="attempt",
                label="Attempt 1",
                since=at(day),
                until=at(day + 40),
                status="worker_lost",
                worker="web-2:4711",
                note="worker lost 11:02:14, taken back 11:02:44",
                lost_at=at(day + 10),
            ),
            Phase(
                kind="attempt",
                label="Attempt 2",
                since=at(day + 40.8),
                until=at(day + 58),
                status="completed",
                worker="web-1:17",
            ),
            *children[:3],
            *children[48:],
        ],
        now=at(day + 60),
    )


SECTIONS = {
    "Stacked bars": per_hour,
    "Percentiles": run_time,
    "Levels": standing,
    "Histogram": how_long,
    "Cells": cells,
    "No data": empty,
    "Flow": checkout,
    "A crowd": crowd,
    "A tangle": tangle,
    "Waterfall": charge_card,
    "Waterfall, folded": nightly,
}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv-tests/output")
    folder.mkdir(parents=True, exist_ok=True)
    for theme, direction in (("light", "ltr"), ("dark", "ltr"), ("light", "rtl")):
        name = theme if direction == "ltr" else f"{theme}-{direction}"
        (folder / f"drawings-{name}.html").write_text(page(theme=theme, direction=direction))
