"""The management API, where OPTIONS name it: what AMQP does not tell of queues and nodes."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from openqueue.runtimes.rabbitmq.options import Options
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed

PATIENCE: Final = 1.5
"""Seconds for one answer."""
FRESH: Final = 1.0
"""Seconds that an answer is good for; the server itself counts every five seconds."""
REMEDIES: Final = {
    401: "It does not accept user and password, or the user has no tag that lets it look: rabbitmqctl "
    "set_user_tags USER monitoring.",
    403: "The user may not look at this: rabbitmqctl set_user_tags USER monitoring.",
    404: "There is nothing of that name. Does 'management' lead to the management API?",
}


class Management:
    """Asked as the user of the URL, which needs the tag `management` for queues and `monitoring` for nodes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.forget()

    def forget(self) -> None:
        """Begin anew after a fork."""
        self.lock = threading.Lock()
        self.seen: dict[str, tuple[float, Any]] = {}

    def nodes(self) -> Sequence[Mapping[str, Any]]:
        """Return the nodes of the cluster.

        Raises:
            RabbitMQFailed: it does not answer, or the user may not ask.
        """
        nodes: Sequence[Mapping[str, Any]] = self.ask("nodes")
        return nodes

    def queues(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the queues of the virtual host, by name.

        Raises:
            RabbitMQFailed: as `nodes`.
        """
        columns = "name,type,durable,arguments,messages_unacknowledged"
        found = self.ask(f"queues/{quote(self.options.virtual_host, safe='')}?columns={columns}")
        return {queue["name"]: queue for queue in found}

    def alarms(self) -> list[str]:
        """Return why nodes take no messages at the moment.

        Raises:
            RabbitMQFailed: as `nodes`.
        """
        told = []
        for node in self.nodes():
            if node.get("mem_alarm"):
                told.append(f"{node['name']} is low on memory")
            if node.get("disk_free_alarm"):
                told.append(f"{node['name']} is low on disk")
        return told

    def ask(self, path: str) -> Any:
        """Ask, or return what was answered a moment ago."""
        with self.lock:
            at, answer = self.seen.get(path, (float("-inf"), None))
            if time.monotonic() - at > FRESH:
                answer = self.fetch(path)
                self.seen[path] = time.monotonic(), answer
            return answer

    def fetch(self, path: str) -> Any:
        token = base64.b64encode(f"{self.options.user}:{self.options.password}".encode()).decode()
        address = f"{self.options.management}/api/{path}"
        request = Request(address, headers={"Authorization": f"Basic {token}"})  # noqa: S310  # http, checked
        try:
            with urlopen(request, timeout=PATIENCE, context=self.options.tls) as response:  # noqa: S310  # as above
                return json.load(response)
        except HTTPError as error:
            said = REMEDIES.get(error.code, f"It answers {error.code}.")
            error.close()
        except (URLError, OSError, ValueError) as error:
            said = f"It does not answer: {error}"
        raise RabbitMQFailed(str(self.options.management), said, certain=True)
