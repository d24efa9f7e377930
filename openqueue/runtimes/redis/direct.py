"""To one server, by its address or as Sentinel names it: a few connections, batches in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis import exceptions
from redis.sentinel import Sentinel, SentinelConnectionPool

from openqueue.runtimes.redis.link import FAILURES, RedisFailed, exchange
from openqueue.runtimes.redis.options import Options
from openqueue.runtimes.redis.refusals import is_demotion
from openqueue.runtimes.redis.scripts import Call


class DirectLink:
    """A link to one server."""

    one_slot_a_call = False

    def __init__(self, options: Options) -> None:
        self.options = options
        self.pool = pool_of(options)
        self.waiting_pool = pool_of(options)
        """Apart: whoever waits for a token must not keep a command waiting."""

    def call(self, calls: Sequence[Call]) -> list[Any]:
        answers = self.exchange([call.by_hash() for call in calls])
        lost = [n for n, answer in enumerate(answers) if isinstance(answer, exceptions.NoScriptError)]
        if lost:
            for n, answer in zip(lost, self.exchange([calls[n].by_source() for n in lost]), strict=True):
                answers[n] = answer
        return answers

    def ask(self, *command: Any) -> Any:
        (answer,) = self.exchange([command])
        if isinstance(answer, Exception):
            raise RedisFailed(self.options.where, answer, certain=True)
        return answer

    def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands on one connection; look again where the primary is once a server says that it is none."""
        answers = exchange(self.pool, commands, where=self.options.where)
        if any(is_demotion(answer) for answer in answers):
            self.pool.disconnect(inuse_connections=False)
        return answers

    def connect(self, key: str) -> Any:
        connection = self.waiting_pool.make_connection()
        try:
            connection.connect()
        except FAILURES as error:
            raise RedisFailed(self.options.where, error, certain=True) from error
        return connection

    def close(self) -> None:
        for pool in (self.pool, self.waiting_pool):
            pool.disconnect()


def pool_of(options: Options) -> Any:
    """Return a pool of connections to one server; redis-py's are untyped."""
    common = dict(options.connection) | {"max_connections": options.max_connections}
    if options.sentinels:
        watch: Any = Sentinel
        pool: Any = SentinelConnectionPool
        for name in ("host", "port"):
            common.pop(name, None)
        watchers = watch(options.sentinels, sentinel_kwargs=dict(options.sentinel))
        return pool(options.service, watchers, **common, **({"ssl": True} if options.tls else {}))
    if options.path is not None:
        return redis.ConnectionPool(
            connection_class=redis.UnixDomainSocketConnection, path=options.path, **common
        )
    kind = redis.SSLConnection if options.tls else redis.Connection
    return redis.ConnectionPool(connection_class=kind, **common)
