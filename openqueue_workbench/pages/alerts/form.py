"""What the forms of rules and channels have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.http import HttpResponse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.errors import AlertInvalid
from openqueue.wording import in_language
from openqueue_workbench.frame.acts import Told
from openqueue_workbench.frame.forms import Input
from openqueue_workbench.pages.alerts.frame import AlertPage


class FormPage(AlertPage, ABC):
    """A form: what is typed stays, and what is wrong stands beside its field."""

    faults: Mapping[str, str] = {}
    """Why a field is wrong, by its name."""
    is_answered = False
    """The answer to the form is this page, and there is nothing to go on to."""

    @cached_property
    @abstractmethod
    def inputs(self) -> Sequence[Input]:
        """Return the fields as they were sent, or as they are."""

    def go_on(self) -> HttpResponse:
        """Show the form again where it has an answer of its own."""
        return self.shown() if self.is_answered else super().go_on()

    def checked(self, does: Callable[[], Told]) -> Told:
        """Return what came of it; where a field is wrong, that nothing was done."""
        try:
            return does()
        except AlertInvalid as error:
            self.faults = {fault.path.partition("[")[0]: in_language(fault.reason) for fault in error.errors}
            self.code = 422
            elsewhere = [
                f"{name} {reason}"
                for name, reason in self.faults.items()
                if name not in {one.name for one in self.inputs}
            ]
            text = _("Nothing was saved: look at the fields that are marked.")
            return Told(text=" ".join([text, *elsewhere]), level="error")

    def context(self) -> dict[str, Any]:
        """Return the fields, with what is wrong; the focus begins at the first of those."""
        shown = [replace(one, error=self.faults.get(one.name, "")) for one in self.inputs]
        first = next((one for one in shown if one.error), shown[0] if shown else None)
        inputs = [replace(one, first=one is first) for one in shown]
        return super().context() | {"inputs": inputs}

    def typed(self, name: str, usual: Any) -> str:
        """Return what was typed into a field, or what stands in it otherwise."""
        return str(self.request.POST.get(name, "") if self.is_sent else usual)

    def ticked(self, name: str, usual: Sequence[str]) -> Sequence[str]:
        """Return the boxes that were ticked, or that are otherwise."""
        return self.request.POST.getlist(name) if self.is_sent else usual

    @property
    def is_sent(self) -> bool:
        """Tell whether this answers a form."""
        return self.request.method == "POST"
