"""A broker whose client is not installed: the error says what to install."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from openqueue import runtimes

ROOMS = {
    "redis": ("redis", "redis", {"url": "redis://127.0.0.1:1/0"}),
    "rabbitmq": ("rabbitmq", "pika", {"url": "amqp://127.0.0.1:1/"}),
    "kafka": ("kafka", "kafka", {"brokers": "127.0.0.1:1"}),
    "kafka-confluent": ("kafka", "confluent_kafka", {"brokers": "127.0.0.1:1", "client": "confluent"}),
}
CLASSES = {"redis": "RedisRuntime", "rabbitmq": "RabbitMQRuntime", "kafka": "KafkaRuntime"}


@pytest.mark.parametrize("extra", ROOMS)
def test_what_is_missing_is_named_with_how_to_get_it(
    extra: str, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    room, module, options = ROOMS[extra]
    gone = [name for name in sys.modules if name.partition(".")[0] == module]
    for name in [*gone, *[name for name in sys.modules if name.startswith(f"openqueue.runtimes.{room}")]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(runtimes, room, getattr(runtimes, room, None), raising=False)  # as it was, afterwards
    backend = f"openqueue.runtimes.{room}.{CLASSES[room]}"
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    with pytest.raises(ImproperlyConfigured) as raised:
        runtimes.get("default")
    assert f'pip install "openqueue[{extra}]"' in str(raised.value)
