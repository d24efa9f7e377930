"""A trend for a cell of a table: a bar for each step, the last one not over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue_workbench import wording
from openqueue_workbench.drawing import scale
from openqueue_workbench.drawing.markup import named, tag

STEP: Final = 5
TALL: Final = 26
CSS: Final = "oq-fill oq-c-failed"


def drawn(id: str, values: Sequence[int], *, title: str) -> SafeString:
    """Return counts as bars, oldest first; ``title`` names them and their window. Nothing draws nothing."""
    width = STEP * len(values)
    top = max([1, *values])
    parts = [tag("line", x1=0, x2=width, y1=TALL - 0.5, y2=TALL - 0.5, class_="oq-grid")]
    for index, value in enumerate(values):
        (height,) = scale.heights([value], top=top, height=TALL - 1)
        if height:
            is_last = index == len(values) - 1
            parts.append(
                tag("rect", x=index * STEP + 0.5, y=TALL - 1 - height, width=STEP - 1, height=height, class_=CSS,
                    fill_opacity=0.55 if is_last else None)
            )  # fmt: skip
    desc = _("Together %(total)s, at most %(highest)s in one bar, %(last)s in the one that is not over.") % {
        "total": wording.number(sum(values)),
        "highest": wording.number(max([0, *values])),
        "last": wording.number(values[-1] if values else 0),
    }
    inside, names = named(id, title=title, desc=desc)
    drawing = tag(
        "svg", inside, *parts, width=width, height=TALL, viewBox=f"0 0 {width} {TALL}", role="img", **names
    )
    return tag("span", drawing, class_="oq-draw oq-inline", dir="ltr")
