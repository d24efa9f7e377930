"""Acts on many runs in words: what is asked, what goes on, what came of it and why some were left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import verbs
from openqueue.control.bulk import OTHER_ERROR, BulkFacts
from openqueue_workbench import wording

ASKED: Final[Mapping[str, tuple[str | Promise, str | Promise, str | Promise]]] = {
    "retry": (
        gettext_lazy("Retry 1 run?"),
        gettext_lazy("Retry %(count)s runs?"),
        gettext_lazy("Retry all of them?"),
    ),
    "cancel": (
        gettext_lazy("Cancel 1 run?"),
        gettext_lazy("Cancel %(count)s runs?"),
        gettext_lazy("Cancel all of them?"),
    ),
    "promote": (
        gettext_lazy("Run 1 run now?"),
        gettext_lazy("Run %(count)s runs now?"),
        gettext_lazy("Run all of them now?"),
    ),
    "discard": (
        gettext_lazy("Discard 1 run?"),
        gettext_lazy("Discard %(count)s runs?"),
        gettext_lazy("Discard all of them?"),
    ),
}
"""Of one, of many, and of nobody knows how many."""
TITLES: Final[Mapping[str, str | Promise]] = {
    "retry": gettext_lazy("Retry %(count)s runs"),
    "cancel": gettext_lazy("Cancel %(count)s runs"),
    "promote": gettext_lazy("Run %(count)s runs now"),
    "discard": gettext_lazy("Discard %(count)s runs"),
    "prioritise": gettext_lazy("Give %(count)s runs another priority"),
}
DONE: Final[Mapping[str, str | Promise]] = {
    "retry": gettext_lazy("%(count)s retried"),
    "cancel": gettext_lazy("%(count)s cancelled, or asked to stop"),
    "promote": gettext_lazy("%(count)s made due"),
    "discard": gettext_lazy("%(count)s discarded"),
    "prioritise": gettext_lazy("%(count)s given another priority"),
}
REVIVED: Final = "revived"
"""Why a dead letter is left alone that is none any more."""
WHY: Final[Mapping[str, str | Promise]] = {
    verbs.UNFINISHED: gettext_lazy("%(count)s had not ended"),
    verbs.FINISHED: gettext_lazy("%(count)s had ended"),
    verbs.MISSING: gettext_lazy("%(count)s were gone"),
    verbs.DUPLICATE: gettext_lazy("%(count)s have a like at work by now"),
    verbs.UNSUPPORTED: gettext_lazy("%(count)s are on a runtime that cannot"),
    verbs.DUE: gettext_lazy("%(count)s were due already"),
    verbs.UNCHANGED: gettext_lazy("%(count)s were so already"),
    verbs.NODE: gettext_lazy("%(count)s are steps of flows"),
    OTHER_ERROR: gettext_lazy("%(count)s failed otherwise"),
    REVIVED: gettext_lazy("%(count)s did not stand as failed any more"),
    "discarded": gettext_lazy("%(count)s were discarded before"),
    "running": gettext_lazy("%(count)s were running"),
    "waiting": gettext_lazy("%(count)s waited for other steps"),
    "locked": gettext_lazy("%(count)s were held by another transaction"),
}
STATES: Final[Mapping[str, tuple[str | Promise, str]]] = {
    "waiting": (gettext_lazy("Waits for a worker"), "oq-c-queued"),
    "working": (gettext_lazy("At work"), "oq-c-running"),
    "done": (gettext_lazy("Done"), "oq-c-completed"),
    "stopped": (gettext_lazy("Stopped"), "oq-c-cancelled"),
    "interrupted": (gettext_lazy("Interrupted"), "oq-c-failed"),
}


def asked(act: str, count: str | None, *, one: bool = False) -> str:
    """Return the question; ``count`` None: nobody knows how many."""
    alone, many, every = ASKED[act]
    return str(every) if count is None else str(alone) if one else str(many) % {"count": count}


def title(facts: BulkFacts) -> str:
    """Return the heading of an operation: "Retry 12,400 runs"."""
    return str(TITLES[facts.act]) % {"count": number(facts)}


def number(facts: BulkFacts) -> str:
    """Return how many runs it was asked for."""
    if facts.expected is None:
        return _("very many")
    return wording.count(facts.expected, bound=facts.expected if facts.or_more else None)


def begun(facts: BulkFacts) -> str:
    """Say that it goes on in the background."""
    return _("It goes on in the background. You can close this page.")


def done(facts: BulkFacts) -> str:
    """Say what came of it: "34 retried, 3 skipped: 3 had not ended."."""
    return told(facts.act, facts.acted, facts.skipped)


def told(act: str, acted: int, skipped: Mapping[str, int]) -> str:
    """Say what came of an act on several things, and why some were left alone."""
    said = str(DONE[act]) % {"count": wording.number(acted)}
    left = sum(skipped.values())
    if not left:
        return f"{said}."
    return _("%(done)s, %(left)s skipped: %(why)s.") % {
        "done": said,
        "left": wording.number(left),
        "why": ", ".join(why(code, count) for code, count in sorted(skipped.items())),
    }


def why(code: str, count: int) -> str:
    """Say why so many were left alone."""
    text = WHY.get(code)
    shown = wording.number(count)
    return str(text) % {"count": shown} if text else f"{shown} {code}"
