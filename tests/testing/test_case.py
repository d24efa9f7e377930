"""The mixin, in test cases as a project writes them; a case that must fail is run inside a test."""

from __future__ import annotations

import unittest

import pytest
from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from openqueue.core import rehearsal
from openqueue.testing import QueuedRunsMixin
from tests.app.models import Customer
from tests.app.tasks import add


class InTestCase(QueuedRunsMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        add.trigger(5, 5)

    def setUp(self):
        self.queued_runs.assert_triggered(add, a=5, count=1)

    def test_what_is_triggered_runs_in_the_transaction(self):
        run = add.trigger(1, 2)
        self.queued_runs.assert_triggered(add, a=1)
        assert [done.result for done in self.queued_runs.run_all()] == [10, 3]
        assert run.refresh().status == "completed"

    def test_the_next_test_begins_anew(self):
        assert len(self.queued_runs) == 1

    def test_callbacks_are_run_by_who_captures_them(self):
        with self.captureOnCommitCallbacks(execute=True):
            transaction.on_commit(lambda: add.trigger(7, 7))
        self.queued_runs.assert_triggered(add, a=7)

    async def test_async_tests_work_too(self):
        await add.atrigger(1, 2)
        await self.queued_runs.aassert_triggered(add, a=1, count=1)
        await self.queued_runs.aassert_not_triggered(add, a=9)
        assert [done.result for done in await self.queued_runs.arun_all()] == [10, 3]
        assert len(await self.queued_runs.aall()) == 2
        with pytest.raises(AssertionError):
            await self.queued_runs.aassert_nothing_triggered()


class InTransactionTestCase(QueuedRunsMixin, TransactionTestCase):
    def test_what_is_committed_is_announced_to_nobody_and_runs(self):
        with transaction.atomic():
            Customer.objects.create(name="Ada", email="ada@shop.example")
            add.trigger(1, 2)
        assert [done.status for done in self.queued_runs.run_all()] == ["completed"]


class OnAnotherDatabase(QueuedRunsMixin, TestCase):
    databases = {"default", "other"}

    def test_the_rows_are_where_the_setting_says(self):
        with self.settings(OPENQUEUE={"DATABASE": "other"}), transaction.atomic(using="other"):
            add.using(atomic=False).trigger(1, 2)
            assert [done.status for done in self.queued_runs.run_all()] == ["completed"]
        self.queued_runs.assert_nothing_triggered()


def outcome(case: type[unittest.TestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def test_a_case_without_a_database_is_refused():
    class Wrong(QueuedRunsMixin, SimpleTestCase):
        def test_nothing(self):
            """Never runs."""

    ((_, said),) = outcome(Wrong).errors
    assert "QueuedRunsMixin needs a database. Derive it from django.test.TestCase" in said


def test_a_case_that_does_not_open_the_database_of_openqueue_is_refused(settings):
    settings.OPENQUEUE = {"DATABASE": "other"}

    class Wrong(QueuedRunsMixin, TestCase):
        def test_nothing(self):
            """Never runs."""

    ((_, said),) = outcome(Wrong).errors
    assert "Add it: databases = ['default', 'other']" in said


@pytest.mark.django_db
def test_time_is_real_again_after_a_test_that_failed():
    class Failing(QueuedRunsMixin, TestCase):
        def test_nothing(self):
            assert rehearsal.is_on()
            self.queued_runs.assert_triggered(add)

    result = outcome(Failing)
    assert len(result.failures) == 1
    assert not rehearsal.is_on()
