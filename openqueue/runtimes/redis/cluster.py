"""To the nodes of a Cluster: one call a queue, each to the node that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis.cluster import RedisCluster

from openqueue.runtimes.redis.link import FAILURES, RedisFailed, answered, exchange
from openqueue.runtimes.redis.options import Options
from openqueue.runtimes.redis.scripts import Call


class ClusterLink:
    """A link to a Cluster, whose map it learns from the node that the URL names."""

    one_slot_a_call = True

    def __init__(self, options: Options) -> None:
        self.options = options
        self.cluster: Any = None

    def call(self, calls: Sequence[Call]) -> list[Any]:
        answers = []
        for call in calls:
            answer = self.routed(call.by_hash())
            if isinstance(answer, exceptions.NoScriptError):
                answer = self.routed(call.by_source())
            answers.append(answer)
        return answers

    def ask(self, *command: Any) -> Any:
        cluster = self.opened()
        pool = cluster.get_redis_connection(cluster.get_random_node()).connection_pool
        (answer,) = exchange(pool, [command], where=self.options.where)
        if isinstance(answer, Exception):
            raise RedisFailed(self.options.where, answer, certain=True)
        return answer

    def routed(self, command: Sequence[Any]) -> Any:
        """Send a command to the node that has its keys, following slots that moved."""
        cluster = self.opened()
        try:
            return answered(lambda: cluster.execute_command(*command))
        except FAILURES as error:
            raise RedisFailed(self.options.where, error, certain=False) from error

    def opened(self) -> Any:
        """Return the client; it asks for the map when it is made."""
        if self.cluster is None:
            make: Any = RedisCluster
            common = {name: value for name, value in self.options.connection.items() if name != "db"}
            try:
                self.cluster = make(
                    **common, ssl=self.options.tls, max_connections=self.options.max_connections
                )
            except FAILURES as error:
                raise RedisFailed(self.options.where, error, certain=True) from error
        return self.cluster

    def connect(self, key: str) -> Any:
        cluster = self.opened()
        try:
            node = cluster.get_node_from_key(key)
            connection = cluster.get_redis_connection(node).connection_pool.make_connection()
            connection.connect()
        except FAILURES as error:
            raise RedisFailed(self.options.where, error, certain=True) from error
        return connection

    def close(self) -> None:
        cluster, self.cluster = self.cluster, None
        if cluster is not None:
            cluster.close()
