"""What can be done to one run, and why not now."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import means, run_acts, verbs
from openqueue.control.callers import Right
from openqueue.control.run_acts import ShownRun
from openqueue.states import FINAL, Status
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page

RETRIED = frozenset({Status.FAILED, Status.CANCELLED, Status.EXPIRED})


class RunControls(Page):
    """The acts of a run's page."""

    @property
    def run_id(self) -> UUID:
        """Return which run."""
        found: UUID = self.kwargs["run"]
        return found

    @cached_property
    def run(self) -> ShownRun:
        """Return it as it stands."""
        return run_acts.show(self.run_id, caller=self.caller)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing of it changes by itself any more."""
        return self.run.status in FINAL

    def why_not(self) -> dict[str, str]:
        """Say by act why it cannot be done now; empty where it can."""
        word = wording.mark(self.run.status).word.lower()
        ended = self.run.status in FINAL
        is_node = self.run.flow_id is not None
        say = {
            "cancel": ended and _("It has ended: %(state)s.") % {"state": word},
            "retry": self.run.status not in RETRIED
            and _("Retry is for runs that failed; this one is %(state)s.") % {"state": word},
            "promote": self.run.status not in {Status.SCHEDULED, Status.RETRYING}
            and _("It does not wait for a later moment; it is %(state)s.") % {"state": word},
            "again": not ended and _("It has not ended: it is %(state)s.") % {"state": word},
            "discard": (not ended and _("Only what has ended can be discarded; it is %(state)s.") % {"state": word})
            or (is_node and _("It is a step of a flow, and goes with it.")),
        }  # fmt: skip
        if self.run.cancel_requested and not ended:
            say["cancel"] = _("It was asked to stop already.")
        return {name: text or "" for name, text in say.items()}

    @property
    def can_delay(self) -> bool:
        """Tell whether its runtime has moments to come."""
        return means.delays(self.run.runtime)

    @act(gettext_lazy("Cancel"), right=Right.CANCEL)
    def cancel(self, on: str, fields: Mapping[str, str]) -> Told:
        """Cancel it."""
        done = run_acts.cancel(self.run_id, caller=self.caller, reason=fields.get("reason", ""))
        if done.outcome == verbs.REQUESTED:
            return self._now(_("It was asked to stop. It ends when its code next looks, or its time is up."))
        return self._now(_("It is cancelled."))

    @cancel.before
    def ask_cancel(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first: what it has done so far is not undone."""
        return Question(
            title=_("Cancel this run?"),
            text=_(
                "While it waits it is cancelled at once; while it runs it is asked to stop. What it has done stays."
            ),
            fields=[Field(name="reason", label=_("Why (kept on record)"))],
            button=_("Cancel the run"),
        )

    @act(gettext_lazy("Retry"), right=Right.RETRY)
    def retry(self, on: str, fields: Mapping[str, str]) -> Told:
        """Start a new cycle."""
        run_acts.retry(self.run_id, caller=self.caller, reason=fields.get("reason", ""))
        return self._now(_("It is queued again, with all its attempts."))

    @retry.before
    def ask_retry(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first."""
        return Question(
            title=_("Retry this run?"),
            text=_(
                "The same run starts anew with all its attempts: %(count)s. Its history stays."
            ) % {"count": wording.number(self.run.max_attempts)},
            fields=[Field(name="reason", label=_("Why (kept on record)"))],
        )  # fmt: skip

    @act(gettext_lazy("Run now"), right=Right.PROMOTE)
    def promote(self, on: str, fields: Mapping[str, str]) -> Told:
        """Make it due."""
        run_acts.promote(self.run_id, caller=self.caller)
        return self._now(_("It is due now: a worker takes it when it has room."))

    @act(gettext_lazy("Discard"), right=Right.DISCARD, is_grave=True)
    def discard(self, on: str, fields: Mapping[str, str]) -> Told:
        """Delete it."""
        run_acts.discard(self.run_id, caller=self.caller, reason=fields.get("reason", ""))
        return Told(text=_("The run was discarded."), go_to=self.to.runs())

    @discard.before
    def ask_discard(self, on: str, fields: Mapping[str, str]) -> Question:
        """Ask first."""
        return Question(
            title=_("Discard this run?"),
            text=_("It is deleted with its history and logs, and cannot be brought back."),
            facts=[(_("Task"), self.run.task_id), (_("Run"), str(self.run_id))],
            fields=[Field(name="reason", label=_("Why (kept on record)"))],
        )

    def _now(self, text: str) -> Told:
        """Tell, and have the run read again: the answer shows it as it is now."""
        self.__dict__.pop("run", None)
        return Told(text=text)
