from __future__ import annotations

import threading
import time
from dataclasses import fields
from types import SimpleNamespace

import pytest

from openqueue import runtimes
from openqueue.control import health
from openqueue.runtimes.base import BrokerFacts, Capabilities, RuntimeHealth

pytestmark = pytest.mark.django_db
DOWN = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}
MEMORY = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}


@pytest.fixture
def three(settings):
    database = {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"}
    settings.OPENQUEUE = {"RUNTIMES": {"default": database, "fast": MEMORY, "down": DOWN}}
    yield
    runtimes.close_all()


def test_each_runtime_tells_whether_it_answers_what_it_can_do_and_what_it_means_that_it_cannot(three):
    seen = health.read()
    by_alias = {one.alias: one for one in seen.runtimes}
    assert list(by_alias) == ["default", "fast", "down"]
    assert not seen.healthy
    assert (by_alias["default"].ok, by_alias["fast"].ok, by_alias["down"].ok) == (True, True, False)
    assert 0 <= by_alias["fast"].latency < 2
    assert (by_alias["down"].latency, [one.id for one in by_alias["down"].findings]) == (None, ["runtime"])
    assert "runs wait in the database" in by_alias["down"].findings[0].remedy
    for one in seen.runtimes:
        assert [c.name for c in one.capabilities] == [f.name for f in fields(Capabilities)]
        assert all(bool(c.why) == (c.value == "no") for c in one.capabilities)


def test_every_capability_has_a_reason_for_its_no():
    assert set(health.WHY_NOT) == {field.name for field in fields(Capabilities)}


def test_a_broker_that_hangs_holds_up_nobody_and_is_asked_once_at_a_time(three, monkeypatch):
    go_on, asked = threading.Event(), []

    def hangs():
        asked.append(1)
        go_on.wait(20)
        return RuntimeHealth(ok=True, detail="late")

    monkeypatch.setattr(runtimes.get("fast"), "health", hangs)
    began = time.monotonic()
    for _ in range(3):
        seen = {one.alias: one for one in health.read(patience=0.05).runtimes}
        assert (seen["fast"].ok, seen["default"].ok) == (False, True)
        assert seen["fast"].detail.startswith("No answer for 0.")
    assert (len(asked), time.monotonic() - began < 10) == (1, True)
    go_on.set()
    assert health.probes.asking["fast"].done.wait(20)
    assert {one.alias: one.ok for one in health.read().runtimes}["fast"]


def test_what_its_server_tells_and_the_doctor_says_of_it_is_told(three, monkeypatch):
    told = BrokerFacts(software="redis", version="7.0", eviction_policy="allkeys-lru", persistence=["aof"])
    runtime = SimpleNamespace(
        health=lambda: RuntimeHealth(ok=True, detail="there"), configuration=lambda: told,
        carries_messages=True, capabilities=Capabilities(), close=lambda: None,
    )  # fmt: skip
    genuine = runtimes.get
    monkeypatch.setattr(runtimes, "get", lambda alias: runtime if alias == "fast" else genuine(alias))
    seen = {one.alias: one for one in health.read().runtimes}["fast"]
    assert (seen.software, seen.version, seen.facts["eviction_policy"]) == ("redis", "7.0", "allkeys-lru")
    assert [finding.id for finding in seen.findings] == ["eviction"]
