"""Elements of HTML and SVG, put together so that everything given is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _


def tag(name: str, *inside: object, **attributes: object) -> SafeString:
    """Return an element; ``class_`` is written class, ``text_anchor`` text-anchor, and None is left out.

    Names come from code; values and what stands inside are escaped unless they are safe.
    """
    # Not format_html: a page draws thousands of these, and it looks at each part of each anew.
    written = [
        f' {_attribute(key)}="{_escaped(value if isinstance(value, str) else text(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return mark_safe(f"<{name}{''.join(written)}>{join(inside)}</{name}>")  # noqa: S308 -- each part is escaped


def join(parts: Iterable[object]) -> SafeString:
    """Return parts one after the other, escaped unless they are safe."""
    return mark_safe("".join(map(_escaped, parts)))  # noqa: S308 -- each part is escaped


def _escaped(part: object) -> str:
    return part if isinstance(part, SafeString) else escape(str(part))


@lru_cache(maxsize=200)
def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def text(value: object) -> str:
    """Return a number as SVG reads it, whatever the reader's language: at most two decimals, a point between."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def share(value: float) -> str:
    """Return a length as a percentage of the drawing's width, which follows the page's."""
    return f"{text(float(value))}%"


def named(id: str, *, title: str, desc: str) -> tuple[SafeString, dict[str, object]]:
    """Return what names a drawing for those who do not see it, and the attributes that point there."""
    inside = join([tag("title", title, id=f"{id}-title"), tag("desc", desc, id=f"{id}-desc")])
    return inside, {"aria_labelledby": f"{id}-title", "aria_describedby": f"{id}-desc"}


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> SafeString:
    """Return the numbers behind a drawing, folded away; the first cell of a row names it."""
    heads = join(tag("th", cell, scope="col") for cell in head)
    body = join(
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows
    )
    whole = tag("table", tag("caption", caption), tag("thead", tag("tr", heads)), tag("tbody", body))
    region = tag("div", whole, class_="oq-scroll", role="region", tabindex="0", aria_label=caption)
    return tag("details", tag("summary", _("Show as table")), region, class_="oq-data")


def nothing(sentence: str) -> SafeString:
    """Return the sentence that stands where there is nothing to draw."""
    return tag("p", sentence, class_="oq-draw oq-empty")
