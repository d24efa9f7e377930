"""The walk through past runs: rehearsed without writing anything, or executed page by page.

A page is one transaction: its new runs, the line in the history of each past run, and the replay's place. So a process
that is killed anywhere has made all of a page or nothing of it, and whoever asks for the same again goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from uuid import UUID

from openqueue.control.actor import Actor
from openqueue.control.replay import place
from openqueue.control.replay.making import make
from openqueue.control.replay.messages import partitions
from openqueue.control.replay.pace import Pace
from openqueue.control.replay.pages import Page, PastRuns, Source
from openqueue.control.replay.report import Report, Tally
from openqueue.control.replay.wanted import Wanted
from openqueue.core import transitions
from openqueue.core.trigger import trigger
from openqueue.models import Run, RunEvent, RuntimeOffset
from openqueue.states import Kind
from openqueue.store import store
from openqueue.telemetry import otel
from openqueue.types import NewRun

Told = Callable[[float, int], None]
"""Hears what share is done, and how many runs were made, or would be."""


def rehearse(wanted: Wanted, *, told: Told = lambda *_: None) -> Report:
    """Return what a replay would make and leave out, or what is left of one that was interrupted. Writes nothing."""
    rows = place.unfinished(wanted)
    settled = Wanted.from_json(rows[0].plan) if rows else wanted.settled(store().clock(None))
    positions = {row.source: row.position for row in rows}
    tally = place.total(rows)
    seen: set[UUID] = set()
    for source in sources(settled, rows):
        position = positions.get(source.name, source.first)
        while position != source.until:
            page = source.page(position)
            before = replayed(page)
            made, _, judged = make(
                page.found,
                wanted=settled,
                ended=ended(page),
                before=before,
                repeated=seen | {run for run, names in before.items() if rows and rows[0].reader in names},
                most=len(page.found),
            )
            if settled.stretch is not None:  # a run may have more than one message
                seen |= {run.replay_of for run in made if run.replay_of is not None}
            tally.add(judged)
            position = page.end
            told(source.share(position), tally.made.total())
    return _report(settled, rows, tally=tally, dry_run=True)


def execute(
    wanted: Wanted, *, actor: Actor, reason: str, pace: Pace | None = None, told: Told = lambda *_: None
) -> Report:
    """Make the new runs. The same asked for before and interrupted is gone on with, as it was settled then.

    reason: why their side effects may happen again, for the record.
    """
    pace = pace or Pace()
    begun = place.unfinished(wanted)
    rows = begun
    if not rows:
        settled = wanted.settled(store().clock(None))
        found = sources(settled, ())
        if not found:  # a topic that nobody has made
            return _report(settled, (), tally=Tally(), dry_run=False)
        rows = place.begin(settled, found, digest=wanted.digest, actor=actor, reason=reason)
    settled = Wanted.from_json(rows[0].plan)
    by_name = {source.name: source for source in sources(settled, rows)}
    for number, row in enumerate(rows):
        source = by_name[row.source]
        while rows[number].finished_at is None and not pace.stopped.is_set():
            step = partial(_step, row, source, settled=settled, most=pace.room, actor=actor)
            rows[number], made = transitions.again(step)
            told(source.share(rows[number].position), place.total(rows).made.total())
            pace.rest(made)
    return _report(settled, rows, tally=place.total(rows), dry_run=False, continued=bool(begun))


def leave_off(wanted: Wanted, *, actor: Actor) -> None:
    """End what was interrupted of this where it stands: asked for again it begins at the beginning."""
    place.leave_off(place.unfinished(wanted), actor=actor)


def sources(settled: Wanted, rows: Sequence[RuntimeOffset]) -> Sequence[Source]:
    """Return where the wanted runs are found. ``rows``: the places of a replay that has begun."""
    return [PastRuns(settled)] if settled.stretch is None else partitions(settled, rows)


def _step(
    row: RuntimeOffset, source: Source, *, settled: Wanted, most: int, actor: Actor
) -> tuple[RuntimeOffset, int]:
    """Replay one page in one transaction; return where that left it, and how many runs were made."""
    with store().atomic():
        taken = place.take(row)
        if taken.finished_at is not None:
            return taken, 0
        page = source.page(taken.position)
        over = locked(ended(page))
        before = replayed(page, locked=True)  # only now: another replay may have had them locked
        with otel.producer_span("replay", queue=settled.to_queue or "", count=len(page.found)):
            made, looked_at, tally = make(
                page.found,
                wanted=settled,
                ended=over,
                before=before,
                repeated={run for run, names in before.items() if row.reader in names},
                most=most,
                traceparent=otel.capture(),
            )
        trigger(made)
        note(made, page, replay=row.reader, actor=actor)
        whole = looked_at == len(page.found)
        place.move(taken, page.end if whole else page.found[looked_at - 1].behind, tally=tally, actor=actor)
    return taken, len(made)


def ended(page: Page) -> set[UUID]:
    """Return the runs of a page that were over when it was read."""
    return {pk for pk, run in page.runs.items() if run.outcome is not None}


def locked(runs: Collection[UUID]) -> set[UUID]:
    """Return those that are still over, and keep them so until the transaction ends: no retry, no other replay."""
    rows = Run.objects.using(store().alias).filter(pk__in=runs, outcome__isnull=False).order_by("pk")
    features = store().connection.features
    if features.has_select_for_update:
        rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
    return set(rows.values_list("pk", flat=True)) if runs else set()


def replayed(page: Page, *, locked: bool = False) -> dict[UUID, set[str]]:
    """Return the runs of a page whose history says that they were replayed, and by which replays.

    locked: as it is now, and not as it was when the transaction began (REPEATABLE READ on MariaDB).
    """
    events = RunEvent.objects.using(store().alias).filter(run_id__in=list(page.runs), kind=Kind.REPLAYED)
    if locked and store().connection.features.has_select_for_update:
        events = events.select_for_update()
    found: dict[UUID, set[str]] = {}
    for run, data in events.values_list("run_id", "data") if page.runs else ():
        found.setdefault(run, set()).add((data or {}).get("replay", ""))
    return found


def note(made: Sequence[NewRun], page: Page, *, replay: str, actor: Actor) -> None:
    """Tell in the history of each past run by which one it was repeated."""
    at = store().clock(None)
    RunEvent.objects.using(store().alias).bulk_create(
        [
            RunEvent(
                run_id=run.replay_of,
                attempt=page.runs[run.replay_of].attempt,
                kind=Kind.REPLAYED,
                actor=actor.name,
                data={"run": str(run.id), "replay": replay},
                at=at,
            )
            for run in made
            if run.replay_of is not None
        ]
    )


def _report(
    settled: Wanted,
    rows: Sequence[RuntimeOffset],
    *,
    tally: Tally,
    dry_run: bool,
    continued: bool = True,
) -> Report:
    return Report.of(
        tally,
        name=rows[0].reader if rows else "",
        dry_run=dry_run,
        finished=not dry_run and all(row.finished_at is not None for row in rows),
        continued=rows[0].started_at if rows and continued else None,
        since=settled.since,
        until=settled.until,
    )
