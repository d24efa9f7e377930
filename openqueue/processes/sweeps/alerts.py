"""Looks at the rules of alerts: what holds becomes an alert, and what holds no more is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from openqueue.alerts import evaluation, kinds
from openqueue.alerts.pulses import Pulses
from openqueue.models import AlertRule
from openqueue.processes.sweeps.errand import Errand

EVERY: Final = timedelta(seconds=15)


class Alerts:
    """A handful of statements, whatever the number of rules; brokers are asked beside the sweeps."""

    name = "alerts"
    every = EVERY

    def __init__(self, *, rouse: Callable[[], None] = lambda: None) -> None:
        self.rouse = rouse
        """Has what there is to say sent at once."""
        self.pulses = Pulses()
        self.errand = Errand(self.name)

    def step(self, now: datetime | None = None) -> int:
        """Look once; return how many alerts opened or ended."""
        rules = evaluation.active()
        if any(rule.kind == kinds.RUNTIME_DOWN for rule in rules):
            self.errand.start(partial(self.look, rules, now=now))
            return 0
        return self.look(rules, now=now) if rules else 0

    def look(self, rules: list[AlertRule], *, now: datetime | None = None) -> int:
        changed = evaluation.evaluate(rules, pulses=self.pulses, now=now)
        if changed:
            self.rouse()
        return changed
