"""OPTIONS that cannot be used are told by `manage.py check`: by name, with what to write, and without a password."""

from __future__ import annotations

from typing import Any

import pytest

from openqueue.checks import runtimes_can_be_made
from openqueue.runtimes.redis.options import KNOWN, Options

URL = "redis://anna:hunter2@127.0.0.1:6379/3"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "'url' must be"),
        ({"url": None}, "'url' must be"),
        ({"url": "http://anna:hunter2@host"}, "'url' must be"),
        ({"url": "redis://anna:hunter2@host:99999"}, "'url' has a port"),
        ({"url": "redis://anna:hunter2@host/first"}, "ends in no database number"),
        ({"url": "redis://anna:hunter2@host/0?socket_timeout=1"}, "query"),
        ({"url": "unix://"}, "names no socket"),
        ({"url": URL, "urll": 1}, "no option is called 'urll'"),
        ({"url": URL, "timeout": 0}, "'timeout' is 0"),
        ({"url": URL, "in_flight": "10"}, "'in_flight' is '10'"),
        ({"url": URL, "db": -1}, "'db' is -1"),
        ({"url": URL, "max_connections": 1}, "4 or more"),
        ({"url": URL, "ca": __file__}, "Write rediss://"),
        ({"url": "rediss://host", "ca": "/nowhere/ca.pem"}, "'ca' names no file"),
        ({"url": URL, "sentinels": ["host:1"]}, "needs 'service'"),
        ({"url": URL, "service": "main"}, "needs 'sentinels'"),
        ({"url": URL, "service": "main", "sentinels": [("host", 1)]}, "'sentinels' must be a list"),
        ({"url": URL, "service": "main", "sentinels": "host:1"}, "'sentinels' must be a list"),
        ({"url": URL, "cluster": "yes"}, "write True or False"),
        ({"url": URL, "cluster": True}, "'db' must be 0"),
        ({"url": "unix:///tmp/redis.sock", "cluster": True}, "'cluster' takes"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_used_is_a_check_error(settings, options: dict[str, Any], said: str):
    entry = {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": options}
    settings.OPENQUEUE = {"RUNTIMES": {"default": entry}}
    (error,) = runtimes_can_be_made()
    assert error.id == "openqueue.E020"
    assert said in error.msg
    assert "hunter2" not in error.msg


def test_the_short_form_is_the_long_one(settings):
    settings.OPENQUEUE = {"REDIS": URL}
    assert runtimes_can_be_made() == []
    from openqueue import runtimes

    options = runtimes.get("default").options
    assert options.where == "127.0.0.1:6379"
    assert options.connection["password"] == "hunter2"
    assert options.connection["db"] == 3


def test_credentials_are_decoded_and_a_socket_is_a_path():
    options = Options.of({"url": "unix://anna:p%40ss%2Fword@/run/redis.sock", "db": 2})
    assert options.path == options.where == "/run/redis.sock"
    assert (options.connection["password"], options.connection["db"]) == ("p@ss/word", 2)


def test_what_sends_writes_twice_and_breaks_into_waiting_is_switched_off():
    """redis-py 8: ten retries and a socket timeout by default, RESP3, and answers in another shape."""
    connection = Options.of({"url": "redis://"}).connection
    assert connection["retry"]._retries == 0
    assert connection["protocol"] == 2
    assert connection.get("legacy_responses", False) is False


def test_every_option_is_in_the_docs():
    from tests.house import tree

    page = (tree.ROOT / "docs/runtimes/redis.md").read_text()
    assert [name for name in KNOWN if f"`{name}`" not in page] == []
