"""What a broken connection raises: Django's errors, which every part of a worker knows how to take."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, connection, connections

from openqueue.store import store

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def test_a_connection_that_broke_before_its_plans_were_pinned_raises_django_s_error():
    raised: list[BaseException] = []

    def work() -> None:
        store().pin_plans()
        connection.ensure_connection()
        connection.connection.close()
        try:
            store().flip_ready(limit=1)
        except Exception as error:
            raised.append(error)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert [type(error) for error in raised] == [OperationalError]
