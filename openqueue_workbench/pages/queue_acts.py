"""What can be done to a queue, wherever it is shown."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import queue_access, queue_acts
from openqueue.control.callers import Right
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page


class QueueActs(Page):
    """What can be done to a queue, wherever it is shown."""

    place = "queue"

    @act(gettext_lazy("Pause"), right=Right.PAUSE)
    def pause(self, on: str, fields: Mapping[str, str]) -> Told:
        """Pause a queue."""
        answer = queue_access.pause(on, caller=self.caller, reason=fields.get("reason", ""))
        if answer.outcome == queue_acts.ALREADY:
            return Told(text=_("Queue %(name)s was paused already.") % {"name": on}, level="warning")
        return Told(text=_("Queue %(name)s is paused: workers start nothing of it.") % {"name": on})

    @pause.before
    def ask_pause(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Ask why."""
        return Question(
            title=_("Pause queue %(name)s?") % {"name": on},
            text=_(
                "Workers start nothing of it any more. What runs goes on; new runs are taken in, and wait."
            ),
            fields=[Field(name="reason", label=_("Why (everybody sees it)"))],
        )

    @act(gettext_lazy("Resume"), right=Right.PAUSE)
    def resume(self, on: str, _fields: Mapping[str, str]) -> Told:
        """Resume a queue."""
        answer = queue_access.resume(on, caller=self.caller)
        if answer.outcome == queue_acts.DISABLED:
            text = _("Queue %(name)s is disabled as well: it starts nothing until it is enabled.")
            return Told(text=text % {"name": on}, level="warning")
        if answer.outcome == queue_acts.OPEN:
            return Told(text=_("Queue %(name)s was not paused.") % {"name": on}, level="warning")
        return Told(text=_("Queue %(name)s goes on.") % {"name": on})

    @act(gettext_lazy("Purge"), right=Right.CLEAR, is_grave=True)
    def purge(self, on: str, fields: Mapping[str, str]) -> Told:
        """Cancel what waits in a queue."""
        done = queue_access.clear(on, caller=self.caller, reason=fields.get("reason", ""))
        text = _("%(count)s runs of queue %(name)s were cancelled.") % {
            "count": wording.number(done.cancelled),
            "name": on,
        }
        if done.left:
            more = _("%(count)s wait there now; press again for the next.") % {
                "count": wording.number(done.left)
            }
            return Told(text=f"{text} {more}", level="warning")
        return Told(text=text)

    @purge.before
    def ask_purge(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Have the name typed."""
        left = queue_acts.left(queue_access.checked(on, caller=self.caller))
        return Question(
            title=_("Purge queue %(name)s?") % {"name": on},
            text=_("All runs that wait in it are cancelled, delayed ones as well. What runs goes on."),
            facts=[
                (_("Due"), wording.number(left.due)),
                (_("Delayed"), wording.number(left.later)),
                (_("Running, and left alone"), wording.number(left.running)),
            ],
            fields=[Field(name="reason", label=_("Why"))],
            typed=on,
        )
