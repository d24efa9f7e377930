"""What somebody who can read a broker finds in it."""

from __future__ import annotations

import contextlib
from typing import Any

import pika
from kafka import KafkaConsumer, TopicPartition

from tests.servers.kafka import Kafka
from tests.servers.rabbitmq import ADMIN, RabbitMQ
from tests.servers.redis import Redis


def dump(server: Any) -> str:
    """Return everything that a server holds, as text."""
    if isinstance(server, Redis):
        return _redis(server)
    if isinstance(server, RabbitMQ):
        return _rabbitmq(server)
    return _kafka(server) if isinstance(server, Kafka) else ""


def _redis(server: Redis) -> str:
    found: list[Any] = []
    with server.client as client:
        readers = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"stream": client.xrange,
        }
        for key in client.scan_iter():
            kind = client.type(key)
            found.append((key, readers[kind if isinstance(kind, bytes) else kind.encode()](key)))
    return repr(found)


def _rabbitmq(server: RabbitMQ) -> str:
    found: list[Any] = []
    connection = pika.BlockingConnection(pika.URLParameters(server.url_of(ADMIN)))
    with contextlib.closing(connection):
        for name in server.queues():
            channel = connection.channel()
            while (message := channel.basic_get(name))[0] is not None:
                found.append((name, message))
            channel.close()  # what was got and not acknowledged is there again
    return repr(found) + repr(server.queues())


def _kafka(server: Kafka) -> str:
    found: list[Any] = []
    with contextlib.closing(KafkaConsumer(**server.administrator)) as reader:
        places = [
            TopicPartition(topic, partition)
            for topic in reader.topics()
            if not topic.startswith("__")
            for partition in reader.partitions_for_topic(topic) or ()
        ]
        if not places:
            return ""
        reader.assign(places)
        ends = reader.end_offsets(places)
        reader.seek_to_beginning()
        while any(reader.position(place) < ends[place] for place in places):
            found += [record for some in reader.poll(200).values() for record in some]
    return repr(found)
