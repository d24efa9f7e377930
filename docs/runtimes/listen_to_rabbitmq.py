"""Hears of every run of one task without Django: python listen_to_rabbitmq.py amqp://... shop.send_invoice [NAMESPACE]

Listens beside the workers, in a queue of its own. For OPTIONS {"exchange_type": "topic"}.
"""

from __future__ import annotations

import json
import sys

import pika

url, task, namespace = [*sys.argv[1:], "openqueue"][:3]
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
queue = channel.queue_declare(f"{namespace}.listener", exclusive=True).method.queue
channel.queue_bind(queue, namespace, routing_key=f"*.{task}")
print("listening", flush=True)
for _, properties, body in channel.consume(queue, auto_ack=True):
    told = json.loads(body)
    trace = (properties.headers or {}).get("traceparent", "-")
    print(
        told["task_id"], told["id"], f"attempt {told['attempt']}", f"queue {told['queue']}", trace, flush=True
    )
