"""What is said of acts on many runs, before and after; the page of an operation tells how it goes on."""

from __future__ import annotations

from django.utils.translation import gettext as _

from openqueue.control.bulk import BulkFacts, Preview
from openqueue.control.callers import Right
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Told
from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages import bulk_words
from openqueue_workbench.places import BY_NAME


def number_of(seen: Preview) -> str:
    """Say how many runs an act would come to."""
    if seen.number is None:
        return _("too many to count in time")
    number = wording.number(seen.number)
    return _("%(number)s or more") % {"number": number} if seen.or_more else number


def told(page: Page, now: BulkFacts) -> Told:
    """Say how an operation stands that was asked for; one that goes on is followed on its own page."""
    if now.finished_at is None:
        return Told(text=bulk_words.begun(now), go_to=address(page, now))
    return Told(text=bulk_words.done(now), level="success" if now.acted else "warning")


def address(page: Page, now: BulkFacts) -> str:
    """Return where an operation can be followed."""
    if page.site.is_registered(BY_NAME["bulk"].model):
        return page.to.of("bulk_change", now.id)
    return page.to.of("activity", object=f"bulk {now.id}") if page.caller.may(Right.AUDIT) else page.address
