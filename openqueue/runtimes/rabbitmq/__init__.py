"""The RabbitMQ runtime: announcements wait in durable queues, and come to whoever has room for them."""

from __future__ import annotations

from openqueue.runtimes.rabbitmq.runtime import RabbitMQRuntime

__all__ = ["RabbitMQRuntime"]
