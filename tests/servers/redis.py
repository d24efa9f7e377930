"""A private Redis: own folder, own port, gone with the process that started it."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.installed import HOW_TO_GET_REDIS, redis_binary
from tests.servers.ports import free_port
from tests.servers.private import USER, PrivateServer

ADMIN = "admin"
REPLICA = "replica"
MAY = (
    "evalsha eval blpop ping info client|id client|unblock select "
    "time get set zadd zrem zscore zcard zpopmin zrangebyscore exists llen rpush lpush ltrim del sadd srem smembers"
)
RULES = "~{openqueue:* -@all " + " ".join(f"+{command}" for command in MAY.split())
"""What docs/runtimes/redis.md says that OpenQueue needs; the namespace of the tests is openqueue."""


class RedisMissing(RuntimeError):
    pass


class Redis(PrivateServer):
    """One server on a free loopback port. `client` is an administrator's; `url` is that of the user with few rights."""

    name = "redis"
    options: tuple[str, ...] = ()

    def __init__(self, *, password: str = "", **settings: Any) -> None:
        super().__init__(password=password)
        self.settings = settings
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://{USER}:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(
            port=self.port, username=ADMIN, password=self.password, protocol=2, retry=Retry(NoBackoff(), 0)
        )

    def _find(self) -> None:
        self.binary = redis_binary()
        if self.binary is None:
            raise RedisMissing(HOW_TO_GET_REDIS)

    def _initialise(self) -> None:
        self._inside("users.acl").write_text("".join(f"user {user}\n" for user in self.users()))

    def users(self) -> list[str]:
        return [
            "default off ~* &* +@all",  # nobody logs in as it, but Redis 7.0 replays scripts from its AOF as it
            f"{ADMIN} on >{self.password} ~* &* +@all",
            f"{REPLICA} on >{self.password} +psync +replconf +ping",
            f"{USER} on >{self.password} {RULES}",
        ]

    def configuration(self) -> list[str]:
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "aclfile": f"{self.folder}/users.acl",
            "masteruser": REPLICA,
            "masterauth": self.password,
            "save": '""',
            "appendonly": "no",
            "enable-protected-configs": "yes",  # so that a test can take its disk away
        } | {name.replace("_", "-"): value for name, value in self.settings.items()}
        return [f"{name} {value}" for name, value in settings.items()]

    def start(self, *, wait: bool = True) -> None:
        conf = self._inside("redis.conf")
        conf.write_text("\n".join(self.configuration()) + "\n")
        self._run_on(str(self.binary), str(conf), *self.options)
        if wait:
            self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                with self.client as client:
                    client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
        raise RuntimeError(f"Redis does not answer:\n{self.log()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL is a crash."""
        assert self._process is not None
        os.kill(self._process.pid, number)
        self._process.wait(20)


class Sentinel(Redis):
    """Watches a primary and its replicas, and names another primary when that one is gone for a second."""

    options = ("--sentinel",)
    service = "shop"

    def __init__(self, primary: Redis) -> None:
        super().__init__(password=primary.password)
        self.primary = primary

    def users(self) -> list[str]:
        return [
            "default off",
            f"{ADMIN} on >{self.password} ~* &* +@all",
            f"{USER} on >{self.password} -@all +ping +sentinel|masters",
        ]

    def configuration(self) -> list[str]:
        name = self.service
        return [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"aclfile {self.folder}/users.acl",
            f"sentinel monitor {name} 127.0.0.1 {self.primary.port} 1",
            f"sentinel auth-user {name} {ADMIN}",
            f"sentinel auth-pass {name} {self.password}",
            f"sentinel down-after-milliseconds {name} 1000",
            f"sentinel failover-timeout {name} 4000",
        ]
