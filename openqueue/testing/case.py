"""The kit for Django's own test cases."""

from __future__ import annotations

import unittest
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.test import TransactionTestCase

from openqueue.conf import config
from openqueue.testing.queued_runs import QueuedRuns

if TYPE_CHECKING:
    Base = unittest.TestCase
else:
    Base = object


class QueuedRunsMixin(Base):
    """Gives a TestCase or TransactionTestCase ``self.queued_runs``: ``class T(QueuedRunsMixin, TestCase)``."""

    @classmethod
    def setUpClass(cls) -> None:
        """Refuse what the kit cannot work in.

        Raises:
            TypeError: the test case opens no database, or not the one of OpenQueue's tables; its text has the remedy.
        """
        if not issubclass(cls, TransactionTestCase):
            raise TypeError(
                f"{cls.__name__}: a run is a row, so QueuedRunsMixin needs a database. Derive it from "
                f"django.test.TestCase or TransactionTestCase, with the mixin first."
            )
        allowed: Any = cls.databases
        if config.database not in allowed and allowed != "__all__":
            raise TypeError(
                f"{cls.__name__}: OpenQueue's tables are in DATABASES[{config.database!r}], which this test case "
                f"does not open. Add it: databases = {sorted({*allowed, config.database})}."
            )
        super().setUpClass()

    @cached_property
    def queued_runs(self) -> QueuedRuns:
        """What this test triggered, and the way to run it."""
        return QueuedRuns()

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run one test, its setUp and tearDown included, with nobody announcing what it triggers."""
        with self.queued_runs:
            return super().run(result)
