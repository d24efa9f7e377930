from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.broker import Broker
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage
from tests.proxy.postgresql import statements
from tests.proxy.proxy import Proxy
from tests.servers import databases


@pytest.fixture
def stage(tmp_path: Path, process_environment: Callable[..., dict[str, str]]) -> Iterator[Stage]:
    """Workers with short leases. However the test ends, what stands in the tables must make sense."""
    stage = Stage(tmp_path, process_environment)
    try:
        yield stage
    finally:
        stage.close()
        if stage.workers:
            print(stage.report())
    check(None if stage.amnesia else stage.gates)


@pytest.fixture
def gates(stage: Stage) -> Gates:
    return stage.gates


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy in front of the session's PostgreSQL."""
    with Proxy(databases.address().port, reader=statements) as proxy:
        yield proxy


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture(params=["database", "broker"])
def runtime(request: pytest.FixtureRequest) -> str:
    """What carries the announcements: the test happens once on each."""
    if request.param == "broker":
        request.getfixturevalue("on_broker")
    return str(request.param)


@pytest.fixture
def on_broker(stage: Stage, broker: Broker, settings: Any) -> Broker:
    """Every queue lives on the test broker, here and in the workers."""
    runtime = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": broker.port}}
    stage.settings["RUNTIMES"] = {"default": runtime}
    settings.OPENQUEUE = stage.settings
    return broker
