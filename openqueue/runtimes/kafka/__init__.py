"""The Kafka runtime: a topic a queue, one consumer group, offsets that follow the claims."""

from __future__ import annotations

from openqueue.runtimes.kafka.runtime import KafkaRuntime

__all__ = ["KafkaRuntime"]
