"""Ids as people type them: whole, or as many characters as tell one run from the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from openqueue.errors import UnclearRun
from openqueue.models import Run
from openqueue.store import store
from openqueue.wording import say as _

DIGITS: Final = 32
FEWEST: Final = 8
SHOWN: Final = 5
"""Candidates that an unclear id is answered with."""


def bounds(text: str) -> tuple[UUID, UUID]:
    """Return the lowest and the highest id that begin like this; a whole id is both.

    Raises:
        UnclearRun: it is no beginning of an id, or too short a one.
    """
    digits = text.strip().lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]+", digits) or not FEWEST <= len(digits) <= DIGITS:
        raise UnclearRun(
            _(
                "{text!r} is no run id. Give the id, or at least its first {fewest} hexadecimal "
                "characters; `openqueue_runs list` shows them.",
                text=text,
                fewest=FEWEST,
            )
        )
    return UUID(digits.ljust(DIGITS, "0")), UUID(digits.ljust(DIGITS, "f"))


def resolve(texts: Sequence[str]) -> list[UUID]:
    """Return the runs that these ids or beginnings of ids mean. A whole id is not looked up.

    Raises:
        UnclearRun: a beginning fits no run, or more than one.
    """
    return [one(text) for text in texts]


def one(text: str) -> UUID:
    """Return the run that one id or beginning means."""
    lowest, highest = bounds(text)
    if lowest == highest:
        return lowest
    near = Run.objects.using(store().alias).filter(pk__gte=lowest, pk__lte=highest).order_by("pk")
    found = list(near.values_list("pk", "task_id")[: SHOWN + 1])
    if not found:
        raise UnclearRun(_("No run's id begins with {text!r}. Look at `openqueue_runs list`.", text=text))
    if len(found) > 1:
        shown = ", ".join(f"{pk} ({task_id})" for pk, task_id in found[:SHOWN])
        more = _(" and more") if len(found) > SHOWN else ""
        raise UnclearRun(
            _(
                "{text!r} begins the ids of {shown}{more}. Give more characters.",
                text=text,
                shown=shown,
                more=more,
            )
        )
    return found[0][0]


def earliest_at(moment: datetime) -> UUID:
    """Return the lowest id that could have been made at ``moment``: their first 48 bits are milliseconds."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
