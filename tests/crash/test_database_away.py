"""The database goes away under load, for a moment or for longer than a lease, and comes back."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest
from django.db import DatabaseError, InterfaceError, connection, connections

from openqueue.models import Run, RunEvent
from tests.app.crash_tasks import gated, quick
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage, kinds, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.servers import databases
from tests.servers.databases import Server

pytestmark = [pytest.mark.crash, pytest.mark.mariadb_too]


@pytest.fixture
def server() -> Server:
    """The session's server, to restart or cut off."""
    return databases.server()


class Client:
    """Triggers from a thread of its own without a pause; remembers what was confirmed."""

    def __init__(self) -> None:
        self.confirmed: list = []
        self.unknown = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def __enter__(self) -> Client:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join(30)

    def work(self) -> None:
        for number in itertools.count():
            if self.stopped.wait(0.02):
                break
            try:
                self.confirmed.append(quick.trigger(failures=number % 2, longest=0.1).id)
            except (DatabaseError, InterfaceError):
                self.unknown += 1
                connections.close_all()
        connections.close_all()


@pytest.fixture
def client() -> Iterator[Client]:
    return Client()


def everything_ends(client: Client, gates: Gates) -> None:
    """All that was confirmed ended well, and no outage was charged to anybody."""
    connections.close_all()
    eventually(lambda: not Run.objects.filter(outcome__isnull=True).exists(), within=30)
    check(gates, expected=client.confirmed, quiet=True)
    assert set(Run.objects.values_list("status", "crash_count")) == {("completed", 0)}
    assert not RunEvent.objects.filter(kind="late_result_discarded").exists()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_server_restarts_under_load(
    stage: Stage, gates: Gates, client: Client, server: Server, mode: str
):
    stage.worker()
    stage.worker()
    with client:
        eventually(lambda: len(gates.effects()) > 30)
        connections.close_all()
        server.restart(mode)
        before = len(client.confirmed)
        eventually(lambda: len(client.confirmed) > before + 15, within=10)
        served = len(gates.effects())
        eventually(lambda: len(gates.effects()) > served + 15, within=10)
    everything_ends(client, gates)


def test_connections_are_terminated_twice_a_second_under_load(
    stage: Stage, gates: Gates, client: Client, server: Server
):
    stage.worker()
    stage.worker()
    name = connection.settings_dict["NAME"]
    cut = 0
    with client:
        eventually(lambda: len(gates.effects()) > 10)
        connections.close_all()
        for _ in range(8):
            cut += server.terminate_connections(database=name)
            client.stopped.wait(0.5)
    assert cut > 20
    everything_ends(client, gates)


@pytest.mark.parametrize("way", ["refuse", "blackhole"])
def test_away_for_longer_than_the_lease_no_crash_is_charged_and_the_run_ends_once(
    stage: Stage, gates: Gates, proxy: Proxy, way: str
):
    """Two workers: neither may take the other for dead when the database answers again."""
    runs = [gated.trigger(), gated.trigger()]
    stage.worker("--concurrency", "1", port=proxy.port)
    stage.worker("--concurrency", "1", port=proxy.port)
    for run in runs:
        gates.wait_inside(run)
    stage.have_watched()
    getattr(proxy, way)()
    stage.leases_end()
    gates.open()
    for run in runs:
        gates.wait_ended(run)
    proxy.pass_on()
    for run in runs:
        row = settled(run)
        assert (row.attempt, row.crash_count) == (1, 0)
        assert kinds(run) == ["triggered", "started", "completed"]
    later = quick.trigger()
    assert settled(later, within=10).crash_count == 0
