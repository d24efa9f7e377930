"""What every runtime must do. Subclass `RuntimeConformance`, give it a `runtime` fixture, and run pytest.

    class TestMyRuntime(RuntimeConformance):
        @pytest.fixture
        def runtime(self, settings, my_server):
            settings.OPENQUEUE = {
                "RUNTIMES": {"default": {"BACKEND": "my.package.MyRuntime", "OPTIONS": {"url": my_server.url}}}
            }
            yield runtimes.get("default")
            runtimes.close_all()

The runtime must be the one that OPENQUEUE["RUNTIMES"]["default"] names: the behaviour cases run real workers on it.
Its in-flight deadline should be short; `soon` says how long the suite waits for anything. It needs pytest-django and
this line in the project's conftest.py, so that failures show values:

    pytest.register_assert_rewrite("openqueue.testing.conformance")
"""

from __future__ import annotations

from openqueue.testing.conformance.acts import Acts
from openqueue.testing.conformance.behaviour import Behaviour
from openqueue.testing.conformance.carrying import Carrying
from openqueue.testing.conformance.contract import Contract
from openqueue.testing.conformance.deferrals import Deferrals
from openqueue.testing.conformance.endings import Endings
from openqueue.testing.conformance.flows import Flows
from openqueue.testing.conformance.isolation import Isolation
from openqueue.testing.conformance.limits import Limits
from openqueue.testing.conformance.operating import Operating
from openqueue.testing.conformance.scheduling import Scheduling
from openqueue.testing.conformance.suite import Suite
from openqueue.testing.conformance.uniqueness import Uniqueness

__all__ = ["OutboxConformance", "RuntimeConformance"]


class RuntimeConformance(
    Carrying,
    Contract,
    Acts,
    Behaviour,
    Deferrals,
    Endings,
    Flows,
    Isolation,
    Limits,
    Operating,
    Scheduling,
    Uniqueness,
    Suite,
):
    """The whole contract of a runtime that carries messages."""


class OutboxConformance(
    Contract, Acts, Behaviour, Endings, Flows, Isolation, Limits, Operating, Scheduling, Uniqueness, Suite
):
    """The contract of a runtime whose queue is the outbox: it carries nothing, it only wakes."""
