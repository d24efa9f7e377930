"""The way to the server: what the runtime asks of it, and how it says that something went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from redis import exceptions

from openqueue.runtimes.redis.options import Options
from openqueue.runtimes.redis.refusals import explained, is_answer
from openqueue.runtimes.redis.scripts import Call

FAILURES: Final = (exceptions.RedisError, OSError)
"""What a connection raises."""


class RedisFailed(ConnectionError):
    """Redis did not do what was asked. The message says where, why, and what to do."""

    def __init__(self, where: str, error: BaseException, *, certain: bool) -> None:
        super().__init__(f"Redis at {where}: {explained(error)}")
        self.certain = certain
        """True: nothing was done. False: nobody knows."""


class Link(Protocol):
    """Safe to share between threads. Nothing that writes is sent again by itself."""

    options: Options
    one_slot_a_call: bool
    """The keys of a call must be in one slot: this is a Cluster."""

    def call(self, calls: Sequence[Call]) -> list[Any]:
        """Call scripts, in one round trip where they go to one server; an answer each, or the error it refused with.

        Raises:
            RedisFailed: no connection, or it broke.
        """

    def ask(self, *command: Any) -> Any:
        """Send one command to a server, to any of them in a Cluster.

        Raises:
            RedisFailed: as above, or the server refused.
        """

    def connect(self, key: str) -> Any:
        """Return a connection of one's own to the server that has a key; the caller disconnects it.

        Raises:
            RedisFailed: no connection.
        """

    def close(self) -> None:
        """Close all connections. Safe twice."""


def exchange(pool: Any, commands: Sequence[Sequence[Any]], *, where: str) -> list[Any]:
    """Send commands on one connection of a pool and read their answers, those that refuse as well.

    Raises:
        RedisFailed: no connection, or it broke.
    """
    try:
        connection = pool.get_connection()
    except FAILURES as error:
        raise RedisFailed(where, error, certain=True) from error
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [answered(connection.read_response) for _ in commands]
    except FAILURES as error:
        connection.disconnect()
        raise RedisFailed(where, error, certain=False) from error
    except BaseException:
        connection.disconnect()  # answers may still be on their way
        raise
    finally:
        pool.release(connection)


def answered(ask: Callable[[], Any]) -> Any:
    """Return an answer, or the error that the server answered with."""
    try:
        return ask()
    except FAILURES as error:
        if is_answer(error):
            return error
        raise
