"""The script of docs/runtimes/rabbitmq.md, which is not Django, beside a worker."""

from __future__ import annotations

import subprocess
import sys

from tests.house.tree import ROOT
from tests.rabbitmq.conftest import Open, message
from tests.servers.rabbitmq import RabbitMQ


def test_a_script_that_is_not_django_hears_of_every_run_of_a_task(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    runtime = open_runtime(exchange_type="topic")
    runtime.declare([queue])
    script = ROOT / "docs/runtimes/listen_to_rabbitmq.py"
    command = [sys.executable, str(script), rabbitmq_server.url, "shop.send_invoice"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            told = message(queue, task_id="shop.send_invoice", traceparent="00-aa-bb-01")
            runtime.publish([message(queue), told])
            heard = process.stdout.readline()
        finally:
            process.kill()
    assert heard == f"shop.send_invoice {told.run_id} attempt 1 queue {queue} 00-aa-bb-01\n"
    assert runtime.inspect(queue).depth == 2, "it took something away"
