"""The session: its servers, what is collected on which database, and the way to real processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.proxy.kafka import requests
from tests.proxy.proxy import Proxy
from tests.servers import databases
from tests.servers.kafka import Kafka, KafkaMissing
from tests.servers.mariadb import MariaDB, MariaDBMissing
from tests.servers.ports import free_port
from tests.servers.postgresql import PostgreSQL, PostgreSQLMissing
from tests.servers.rabbitmq import RabbitMQ, RabbitMQMissing
from tests.servers.redis import Redis, RedisMissing

pytest.register_assert_rewrite("openqueue.testing.conformance")
AnyServer = TypeVar("AnyServer", Redis, Kafka, RabbitMQ)
VENDOR = os.environ.get("OPENQUEUE_TEST_DATABASE", "sqlite")
VENDORS = ("postgresql", "mariadb", "sqlite")
HEAVY = ("crash", "scale", "bench", "browser")
LEFT_OUT = {*os.environ.get("OPENQUEUE_TEST_ELSEWHERE", "").split(",")}
"""Marks of tests that the tests command leaves to another of its cells; contract:kafka is contract("kafka")."""
HERE = Path(__file__).parent
ONCE = ("docs", "example", "kafka", "proxy", "rabbitmq", "redis")
"""Folders whose tests are about servers or texts: the same with every Python, Django and database."""
TOGETHER = ("tests/example/test_demo.py",)
"""Files whose tests go to one process of pytest-xdist: they share what takes long to make."""
EITHER = ("broker", "client", "processes", "pure", "remote", "security", "testing")
"""Folders whose tests are about the Python and Django, or the database, and not about both at once."""
EACH_DATABASE = ("alerts", "api", "control", "search", "workbench")
"""Folders whose tests are about what the databases say; between them, the cells that run them have each Django."""


def pytest_configure(config: pytest.Config) -> None:
    each, below = "OPENQUEUE_TEST_EACH" in os.environ, hasattr(config, "workerinput")
    if below and not each:  # pytest-xdist: its controller owns the servers
        return
    if each and not below and config.getoption("numprocesses", None):
        databases.leave()
        return
    config.add_cleanup(databases.stop)
    try:
        databases.start()
    except (PostgreSQLMissing, MariaDBMissing) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept = [item for item in items if _belongs(item)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not _belongs(item)])
        items[:] = kept


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep some files together under `--dist loadgroup`, whose own way ended with pytest 9.2: an id takes no suffix."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in TOGETHER else nodeid

    return Together(config, log)


def _belongs(item: pytest.Item) -> bool:
    vendors = [vendor for vendor in VENDORS if item.get_closest_marker(vendor)]
    if vendors:
        return VENDOR in vendors
    if LEFT_OUT & _marks(item):
        return False
    heavy = any(item.get_closest_marker(mark) for mark in HEAVY)
    return not heavy or VENDOR == "postgresql" or item.get_closest_marker(f"{VENDOR}_too") is not None


def _marks(item: pytest.Item) -> set[str]:
    folder = item.path.relative_to(HERE).parts[0]
    marks = {mark.name for mark in item.iter_markers()}
    marks |= {f"contract:{mark.args[0]}" for mark in item.iter_markers("contract")}
    where = {"once": ONCE, "either": EITHER, "each_database": EACH_DATABASE}
    return marks | {mark for mark, folders in where.items() if folder in folders}


@pytest.fixture
def postgresql() -> PostgreSQL:
    """The session's server, to restart, stop or cut off; mark the test `postgresql`."""
    server = databases.server()
    assert isinstance(server, PostgreSQL)
    return server


@pytest.fixture
def mariadb() -> MariaDB:
    """The session's server, to restart, stop or cut off; mark the test `mariadb`."""
    server = databases.server()
    assert isinstance(server, MariaDB)
    return server


@pytest.fixture
def process_environment(transactional_db: None) -> Callable[..., dict[str, str]]:
    """Environment for a real process that works on this test's databases: subprocess.run(..., env=...)."""
    from django.db import connections

    def environment(**more: str) -> dict[str, str]:
        names = {alias: str(connections[alias].settings_dict["NAME"]) for alias in databases.ALIASES}
        return dict(os.environ) | databases.environment(names) | more

    return environment


@pytest.fixture(autouse=True)
def _publisher_ends() -> Iterator[None]:
    """Let the thread that announces on commit end with its test: it holds a connection, and would announce later."""
    yield
    from openqueue.core import post_commit

    if post_commit.publisher.thread is not None:
        post_commit.publisher.flush()
        post_commit.publisher = post_commit.Publisher()


@pytest.fixture(autouse=True)
def _language_stays() -> Iterator[None]:
    """Have a test fail that leaves its thread in another language, and not whichever comes after it."""
    from django.utils import translation

    before = translation.get_language()
    yield
    after = translation.get_language()
    translation.deactivate()
    assert after == before, f"this test leaves the thread speaking {after}"


@pytest.fixture
def declare() -> Iterator[Callable[..., Any]]:
    """A `@task` whose tasks are forgotten after the test: @declare, or @declare(queue="mail")."""
    from openqueue import registry
    from openqueue.declaration import Task

    made: list[Any] = []

    def declare(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        if function is None:
            return lambda function: declare(function, **options)
        made.append(Task(function, **{"id": f"test.{function.__name__}"} | options))
        return made[-1]

    yield declare
    for task in made:
        registry.remove(task)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured output may hold what no pipe between pytest's processes can carry, such as half a surrogate pair."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """End the sessions of bodies that were made to hang: PostgreSQL drops no database that somebody is in."""
    yield
    if VENDOR != "postgresql":
        return
    from django.db import connections

    with django_db_blocker.unblock():
        made = [one for one in connections.all() if str(one.settings_dict["NAME"]).startswith("test_")]
        for connection in made:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


def _while_open(server: AnyServer, missing: type[Exception]) -> Iterator[AnyServer]:
    try:
        server.open()
    except missing as error:
        if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
            raise
        pytest.skip(str(error))  # at home alone: under CI the line above has raised
    yield server
    server.close()


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[Redis]:
    """One Redis a process of the session."""
    yield from _while_open(Redis(), RedisMissing)


@pytest.fixture
def redis_server(_redis_server: Redis) -> Redis:
    """An empty Redis, as an administrator would set it up for OpenQueue."""
    with _redis_server.client as admin:
        admin.flushall()
    return _redis_server


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Kafka]:
    """One Kafka a process of the session, as an administrator would set it up for OpenQueue."""
    yield from _while_open(Kafka(), KafkaMissing)


@pytest.fixture(scope="session")
def _rabbitmq_server() -> Iterator[RabbitMQ]:
    """One RabbitMQ a process of the session: it takes seconds to start."""
    yield from _while_open(RabbitMQ(), RabbitMQMissing)


@pytest.fixture
def rabbitmq_server(_rabbitmq_server: RabbitMQ) -> Iterator[RabbitMQ]:
    """An empty virtual host; the server may be stopped and broken, and is well again for the next test."""
    with _rabbitmq_server.virtual_host():
        yield _rabbitmq_server


@pytest.fixture(scope="session")
def _own_kafka(kafka_server: Kafka) -> Iterator[tuple[Kafka, Proxy]]:
    """A broker to break, with a listener that says it is reached through a proxy."""
    server = Kafka(proxied=free_port())
    server.open()
    proxy = Proxy(server.ports["PROXY"], reader=requests)
    proxy.port = server.advertised["PROXY"]
    with proxy:
        yield server, proxy
    server.close()


@pytest.fixture
def own_kafka(_own_kafka: tuple[Kafka, Proxy]) -> Kafka:
    return _own_kafka[0]


@pytest.fixture
def kafka_proxy(_own_kafka: tuple[Kafka, Proxy]) -> Iterator[Proxy]:
    proxy = _own_kafka[1]
    proxy.pass_on()
    yield proxy
    proxy.reset()
    proxy.pass_on()
