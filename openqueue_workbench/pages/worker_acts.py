"""What can be asked of a worker, wherever it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from openqueue.conf import config
from openqueue.control import worker_access, worker_acts, workers
from openqueue.control.callers import Right
from openqueue.control.worker_access import WorkerAnswer
from openqueue.control.workers import ListedWorker
from openqueue.errors import UnclearWorker, WrongState
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages import worker_rows


class WorkerActs(Page):
    """What can be asked of a worker, wherever it is shown."""

    place = "worker"

    @act(gettext_lazy("Quiet"), right=Right.OPERATE)
    def quiet(self, on: str, _fields: Mapping[str, str]) -> Told:
        """Have it take nothing more."""
        answer = self.tell(on, workers.QUIET_COMMAND)
        name = self.name_in(answer, on)
        if answer.outcome == worker_acts.ALREADY:
            return Told(text=_("%(name)s was asked for that already.") % {"name": name}, level="warning")
        return Told(text=_("%(name)s takes nothing more; what it runs goes on.") % {"name": name})

    @act(gettext_lazy("Resume"), right=Right.OPERATE)
    def resume(self, on: str, _fields: Mapping[str, str]) -> Told:
        """Have it take runs again."""
        answer = self.tell(on, "resume")
        name = self.name_in(answer, on)
        if answer.outcome == worker_acts.NOT_QUIET:
            return Told(text=_("%(name)s was not quiet.") % {"name": name}, level="warning")
        return Told(text=_("%(name)s takes runs again.") % {"name": name})

    @act(gettext_lazy("Stop"), right=Right.OPERATE, is_grave=True)
    def stop(self, on: str, fields: Mapping[str, str]) -> Told:
        """Have its process end."""
        answer = self.tell(on, workers.STOP_COMMAND, reason=fields.get("reason", ""))
        name = self.name_in(answer, on)
        if answer.outcome == worker_acts.ALREADY:
            return Told(text=_("%(name)s was asked for that already.") % {"name": name}, level="warning")
        return Told(text=_("%(name)s stops.") % {"name": name})

    @stop.before
    def ask_stop(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say what becomes of its runs."""
        worker = self.found(on)
        grace = wording.duration(config.shutdown_grace.total_seconds())
        return Question(
            title=_("Stop %(name)s?") % {"name": worker_rows.name_of(worker)},
            text=_(
                "It takes nothing more. What it runs has %(grace)s to end; the rest goes back to its queue. No "
                "supervisor starts another in its place."
            )
            % {"grace": grace},
            facts=[
                (_("Runs that it holds"), wording.number(worker.claims)),
                (_("Queues"), ", ".join(worker.queues)),
                (_("Others that serve them"), self.others(worker)),
            ],
            fields=[Field(name="reason", label=_("Why"))],
        )

    def tell(self, on: str, command: str, *, reason: str = "") -> WorkerAnswer:
        """Tell one worker; say where it cannot be told.

        Raises:
            WrongState: it stops already.
        """
        answer = worker_access.tell(identity(on), command, caller=self.caller, reason=reason)
        if answer.outcome == worker_acts.STOPPING:
            raise WrongState(
                _("%(name)s is stopping: it takes nothing more.") % {"name": self.name_in(answer, on)}
            )
        return answer

    def found(self, on: str, *, among: Sequence[ListedWorker] | None = None) -> ListedWorker:
        """Return a worker that has not signed off; of those, where they were read already.

        Raises:
            UnclearWorker: there is none of this id.
        """
        wanted = identity(on)
        worker = next((one for one in (self.fleet() if among is None else among) if one.id == wanted), None)
        if worker is None:
            raise UnclearWorker(
                _("No worker %(id)s is there. One that has stopped is not listed.") % {"id": wanted}
            )
        return worker

    def fleet(self) -> list[ListedWorker]:
        """Return the workers as they are now."""
        return workers.listing()

    def others(self, worker: ListedWorker) -> str:
        """Say how many others serve each queue of a worker that stops."""
        rest = [one for one in self.fleet() if one.id != worker.id]
        alone = [
            queue
            for queue in worker.queues
            if not any(one.serves(queue, runtime=runtime) for one in rest for runtime in worker.runtimes)
        ]
        if not alone:
            return _("each queue has another worker")
        return ngettext("none for %(queues)s", "none for %(queues)s", len(alone)) % {
            "queues": ", ".join(alone)
        }

    @staticmethod
    def name_in(answer: WorkerAnswer, on: str) -> str:
        """Return the name of the worker that was told."""
        return worker_rows.name_of(answer.worker) if answer.worker else on


def identity(on: str) -> UUID:
    """Return the id of a worker.

    Raises:
        UnclearWorker: it is none.
    """
    try:
        return UUID(on)
    except ValueError:
        raise UnclearWorker(_("There is no worker %(name)s.") % {"name": on[:40]}) from None
