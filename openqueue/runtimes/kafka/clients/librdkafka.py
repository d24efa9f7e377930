"""Settings and errors of librdkafka, which confluent-kafka is made of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from openqueue.runtimes.kafka.clients import Record
from openqueue.runtimes.kafka.options import Options
from openqueue.runtimes.kafka.refusals import KafkaFailed, advised
from openqueue.runtimes.kafka.topics import Place

logger = logging.getLogger("openqueue.kafka")

FAILURES: Final = (KafkaException, BufferError, RuntimeError, ValueError)
"""What confluent-kafka raises; RuntimeError for a client that was closed."""
PASSING: Final = frozenset({KafkaError._PARTITION_EOF, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT})
"""Events that end by themselves."""
NAMES: Final = {
    "_ALL_BROKERS_DOWN": "KafkaTimeoutError",
    "_AUTHENTICATION": "SaslAuthenticationFailedError",
    "_MSG_TIMED_OUT": "KafkaTimeoutError",
    "_RESOLVE": "KafkaTimeoutError",
    "_TIMED_OUT": "KafkaTimeoutError",
    "_TRANSPORT": "KafkaTimeoutError",
    "_UNKNOWN_PARTITION": "UnknownTopicOrPartitionError",
    "_UNKNOWN_TOPIC": "UnknownTopicOrPartitionError",
    "CLUSTER_AUTHORIZATION_FAILED": "ClusterAuthorizationFailedError",
    "GROUP_AUTHORIZATION_FAILED": "GroupAuthorizationFailedError",
    "INVALID_REPLICATION_FACTOR": "InvalidReplicationFactorError",
    "NOT_ENOUGH_REPLICAS": "NotEnoughReplicasError",
    "SASL_AUTHENTICATION_FAILED": "SaslAuthenticationFailedError",
    "TOPIC_AUTHORIZATION_FAILED": "TopicAuthorizationFailedError",
    "UNKNOWN_TOPIC_OR_PART": "UnknownTopicOrPartitionError",
    "UNSUPPORTED_VERSION": "UnsupportedVersionError",
}
"""What librdkafka calls the errors of which `refusals` knows the remedy."""
REFUSALS: Final = frozenset(
    {
        "CLUSTER_AUTHORIZATION_FAILED",
        "MSG_SIZE_TOO_LARGE",
        "RECORD_LIST_TOO_LARGE",
        "SASL_AUTHENTICATION_FAILED",
        "TOPIC_AUTHORIZATION_FAILED",
        "UNKNOWN_TOPIC_OR_PART",
        "_UNKNOWN_PARTITION",
        "_UNKNOWN_TOPIC",
    }
)
"""Answers after which nothing was kept."""


def connection(options: Options, *, name: str) -> dict[str, Any]:
    """Return what every client of confluent-kafka is made with."""
    security = options.security
    settings = {
        "bootstrap.servers": ",".join(options.brokers),
        "client.id": name,
        "security.protocol": security.protocol.lower(),
        "topic.metadata.refresh.interval.ms": milliseconds(options.metadata_age),
        "reconnect.backoff.max.ms": 1000,
        "sasl.mechanism": security.mechanism,
        "sasl.username": security.username,
        "sasl.password": security.password,
        "ssl.ca.location": security.ca,
        "ssl.certificate.location": security.cert,
        "ssl.key.location": security.key,
        "ssl.endpoint.identification.algorithm": "https" if security.check_hostname else "none",
        "logger": logger,
    }
    return {key: value for key, value in settings.items() if value is not None}


def opened(kind: Callable[[dict[str, Any]], Any], settings: dict[str, Any], options: Options) -> Any:
    """Make a client; librdkafka connects by itself, then or later.

    Raises:
        KafkaFailed: it does not take these settings.
    """
    try:
        return kind(settings | dict(options.client_options))
    except FAILURES as error:
        raise failed(options, error) from error


def failed(
    options: Options,
    error: KafkaError | BaseException,
    *,
    certain: bool = True,
    names: Mapping[str, str] = NAMES,
) -> KafkaFailed:
    """Return what went wrong in our words."""
    told = error.args[0] if isinstance(error, KafkaException) and error.args else error
    if not isinstance(told, KafkaError):
        return KafkaFailed(options.where, f"{type(error).__name__}: {error}", certain=certain)
    said = f"{told.name()}: {told.str()}"
    return KafkaFailed(options.where, advised(said, {names.get(told.name(), "")}), certain=certain)


def milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def record_of(message: Any) -> Record:
    """Return a message of librdkafka as a record."""
    return Record(
        Place(message.topic(), message.partition()),
        message.offset(),
        message.value() or b"",
        message.headers() or [],
        message.timestamp()[1] / 1000,
    )
