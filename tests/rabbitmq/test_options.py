"""OPTIONS that cannot be used are told by `manage.py check`: by name, with what to write, and without a password."""

from __future__ import annotations

from typing import Any

import pytest

from openqueue.checks import runtimes_can_be_made, task_problems
from openqueue.runtimes.rabbitmq.options import KNOWN, Options

URL = "amqp://anna:hunter2@127.0.0.1:5672/shop"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "'url' must be"),
        ({"url": None}, "'url' must be"),
        ({"url": "http://anna:hunter2@host"}, "'url' must be"),
        ({"url": "amqp://anna:hunter2@host:99999"}, "'url' has a port"),
        ({"url": "amqp://anna:hunter2@host/a/b"}, "names no one virtual host"),
        ({"url": "amqp://anna:hunter2@host/?heartbeat=1"}, "query"),
        ({"url": URL, "urll": 1}, "no option is called 'urll'"),
        ({"url": URL, "timeout": 0}, "'timeout' is 0"),
        ({"url": URL, "in_flight": "10"}, "'in_flight' is '10'"),
        ({"url": URL, "heartbeat": 1}, "2 or more"),
        ({"url": URL, "window": True}, "'window' is True"),
        ({"url": URL, "delivery_limit": 3}, "20 or more"),
        ({"url": URL, "delay_lanes": 5}, "'delay_lanes' is 5: use a list"),
        ({"url": URL, "delay_lanes": [1, 0]}, "whole numbers of seconds"),
        ({"url": URL, "delay_lanes": [0.5]}, "whole numbers of seconds"),
        ({"url": URL, "delay_lanes": [True]}, "whole numbers of seconds"),
        ({"url": URL, "delay_lanes": [601]}, "none above 600"),
        ({"url": URL, "delay_lanes": list(range(1, 10))}, "at most 8"),
        ({"url": URL, "queue_type": "lazy"}, "use one of 'quorum', 'classic'"),
        ({"url": URL, "exchange_type": "fanout"}, "use one of 'direct', 'topic'"),
        ({"url": URL, "priorities": "native"}, "add 'queue_type': 'classic'"),
        ({"url": URL, "priorities": 0}, "'priorities' is 0"),
        ({"url": URL, "ca": __file__}, "Write amqps://"),
        ({"url": "amqps://host", "ca": "/nowhere/ca.pem"}, "'ca' names no file"),
        ({"url": "amqps://host", "ca": __file__}, "holds nothing that TLS could use"),
        ({"url": "amqps://host", "auth": "external"}, "needs an amqps:// URL and 'cert'"),
        ({"url": URL, "auth": "kerberos"}, "'auth' is 'kerberos'"),
        ({"url": URL, "nodes": []}, "'nodes' must be a list"),
        ({"url": URL, "nodes": ["anna:hunter2@host"]}, "'nodes' must be a list"),
        ({"url": URL, "management": "host:15672"}, "'management' must be"),
        ({"url": URL, "management": "http://anna:hunter2@host:15672"}, "Drop it from the URL"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_used_is_a_check_error(settings, options: dict[str, Any], said: str):
    entry = {"BACKEND": "openqueue.runtimes.rabbitmq.RabbitMQRuntime", "OPTIONS": options}
    settings.OPENQUEUE = {"RUNTIMES": {"default": entry}}
    (error,) = runtimes_can_be_made()
    assert error.id == "openqueue.E020"
    assert said in error.msg
    assert "hunter2" not in error.msg


def test_the_short_form_is_the_long_one(settings):
    settings.OPENQUEUE = {"RABBITMQ": URL}
    assert runtimes_can_be_made() == []
    from openqueue import runtimes

    options = runtimes.get("default").options
    assert options.where == "127.0.0.1:5672"
    assert (options.user, options.password, options.virtual_host) == ("anna", "hunter2", "shop")
    assert "hunter2" not in repr(options)


@pytest.mark.parametrize(
    ("url", "virtual_host"),
    [
        ("amqp://h", "/"),
        ("amqp://h/", "/"),
        ("amqp://h/%2F", "/"),
        ("amqp://h/a%2Fb", "a/b"),
        ("amqp://h/x", "x"),
    ],
)
def test_a_virtual_host_is_the_path_without_its_slash(url: str, virtual_host: str):
    assert Options.of({"url": url}).virtual_host == virtual_host


def test_credentials_are_decoded_and_nodes_take_the_port_of_their_scheme():
    options = Options.of({"url": "amqps://anna:p%40ss%2Fword@one", "nodes": ["one", "two:5673"]})
    assert options.password == "p@ss/word"
    assert options.nodes == (("one", 5671), ("two", 5673))


def test_priorities_are_refused_where_there_are_none(settings, declare):
    options = {"url": URL, "priorities": False}
    entry = {"BACKEND": "openqueue.runtimes.rabbitmq.RabbitMQRuntime", "OPTIONS": options}
    settings.OPENQUEUE = {"RUNTIMES": {"default": entry}}

    @declare(priority=5)
    def important() -> None: ...

    assert {problem.id for problem in task_problems(important)} == {"openqueue.E034"}


def test_every_option_is_in_the_docs():
    from tests.house import tree

    page = (tree.ROOT / "docs/runtimes/rabbitmq.md").read_text()
    assert [name for name in KNOWN if f"`{name}`" not in page] == []
