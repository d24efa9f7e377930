"""One connection and the thread it belongs to: pika's connections may be touched by no other thread."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

import pika
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel

from openqueue.runtimes.rabbitmq.options import Options
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed, failed

logger = logging.getLogger("openqueue")
T = TypeVar("T")

THREADS: Final = "openqueue-rabbitmq-"
FAREWELL: Final = 2.0
"""Seconds that a close waits for the server's word."""


class Wire:
    """Open from its making to its end. The thread ends with the connection; the next connection is another wire."""

    def __init__(self, options: Options, *, node: tuple[str, int], purpose: str) -> None:
        self.options = options
        self.where = f"{node[0]}:{node[1]}"
        self.purpose = purpose
        self.lock = threading.Lock()
        self.ended: RabbitMQFailed | None = None
        """Why there is no connection any more."""
        self.server: Mapping[str, Any] = {}
        """What the server says of itself."""
        self.blocked = ""
        """Why the server takes no messages from us at the moment."""
        self.pending: set[Future[Any]] = set()
        self.opening: Future[None] = Future()
        self.connection: SelectConnection | None = None
        self.parameters = parameters(options, node=node, purpose=purpose)
        self.thread = threading.Thread(target=self.live, name=f"{THREADS}{purpose}", daemon=True)

    def open(self) -> None:
        """Connect.

        Raises:
            RabbitMQFailed: no connection.
        """
        self.thread.start()
        try:
            # pika's own limit is the same and tells more: this one is for when the thread is stuck in the resolver
            self.opening.result(self.options.connect_timeout + 1)
        except TimeoutError:
            error = RabbitMQFailed(self.where, "It has not answered in time.", certain=True)
            self.end(error)
            raise error from None

    # --- the thread -----------------------------------------------------------------------------------------------

    def live(self) -> None:
        try:
            self.connection = SelectConnection(
                self.parameters,
                on_open_callback=self.opened,
                on_open_error_callback=lambda _, error: self.stop(error),
                on_close_callback=lambda _, error: self.stop(error),
            )
            self.connection.ioloop.start()
        except Exception as error:
            # Whatever breaks inside the client: this connection is not to be trusted any more.
            logger.exception("RabbitMQ's connection broke", extra={"purpose": self.purpose})
            self.stop(error)
        finally:
            if self.connection is not None:
                with suppress(OSError):
                    self.connection.ioloop.close()

    def opened(self, connection: Any) -> None:
        self.server = connection.server_properties or {}
        connection.add_on_connection_blocked_callback(self.on_blocked)
        connection.add_on_connection_unblocked_callback(self.on_unblocked)
        if not self.opening.done():
            self.opening.set_result(None)

    def on_blocked(self, _: Any, frame: Any) -> None:
        self.blocked = frame.method.reason or "no reason given"
        logger.warning(
            "RabbitMQ takes no messages at the moment", extra={"where": self.where, "reason": self.blocked}
        )

    def on_unblocked(self, *_: Any) -> None:
        self.blocked = ""
        logger.info("RabbitMQ takes messages again", extra={"where": self.where})

    def stop(self, error: BaseException) -> None:
        """The connection is no more, or never was."""
        if self.connection is not None:
            self.connection.ioloop.stop()
        self.end(failed(self.where, error, certain=not self.opening.done()))

    def end(self, error: RabbitMQFailed) -> None:
        with self.lock:
            if self.ended is not None:
                return
            self.ended = error
            pending, self.pending = self.pending, set()
        if not self.opening.done():
            self.opening.set_exception(error)
        for future in pending:
            if not future.done():
                future.set_exception(RabbitMQFailed(self.where, str(error), certain=False))

    # --- from any thread ------------------------------------------------------------------------------------------

    def run(self, act: Callable[[], None]) -> None:
        """Have the wire's thread do something, soon.

        Raises:
            RabbitMQFailed: there is no connection any more.
        """
        with self.lock:
            if self.ended is not None:
                raise RabbitMQFailed(self.where, self.ended, certain=True)
            assert self.connection is not None  # noqa: S101  # opened before it is handed out
            self.connection.ioloop.add_callback_threadsafe(act)

    def ask(self, act: Callable[[Future[T]], None], *, timeout: float) -> T:
        """Have the wire's thread do something that answers, and wait for it. Silence ends the connection: whatever the
        server is stuck at, such as a queue that recovers from a crash, all else would wait behind it.

        Raises:
            RabbitMQFailed: no connection, it broke, or nothing was answered in time.
        """
        future: Future[T] = Future()

        def guarded() -> None:
            try:
                act(future)
            except Exception as error:  # whatever the client raises goes to whoever asked
                if not future.done():
                    future.set_exception(failed(self.where, error, certain=False))

        with self.lock:
            self.pending.add(future)
        try:
            self.run(guarded)
            return future.result(timeout)
        except TimeoutError:
            raise RabbitMQFailed(
                self.where, f"It has not answered for {timeout:g} s.", certain=False
            ) from None
        finally:
            with self.lock:
                self.pending.discard(future)

    def channel(self, *, confirm: bool = False, on_close: Callable[[Channel, Exception], None]) -> Channel:
        """Open a channel; ``on_close`` is told, on the wire's thread, when it ends.

        Raises:
            RabbitMQFailed: as `ask`.
        """

        def act(future: Future[Channel]) -> None:
            def opened(channel: Channel) -> None:
                channel.add_on_close_callback(on_close)
                answer(future, channel)

            assert self.connection is not None  # noqa: S101  # this is its thread
            self.connection.channel(on_open_callback=opened)

        return self.ask(act, timeout=self.options.timeout)

    def close(self) -> None:
        """Say farewell, and end. Safe twice."""
        if self.ended is None and self.connection is not None:
            with suppress(RabbitMQFailed):
                self.run(self.bid_farewell)
        if threading.current_thread() is not self.thread:
            self.thread.join(FAREWELL)
            if self.thread.is_alive():
                self.break_off(RabbitMQFailed(self.where, "It has not said farewell.", certain=False))
        self.end(RabbitMQFailed(self.where, "The connection was closed.", certain=True))

    def break_off(self, error: RabbitMQFailed) -> None:
        """End it without a word, as pika does when heartbeats stay away: a farewell would wait for answers."""

        def terminate() -> None:
            if self.connection is not None and not self.connection.is_closed:
                self.connection._terminate_stream(error)

        with suppress(RabbitMQFailed):
            self.run(terminate)
        self.end(error)

    def bid_farewell(self) -> None:
        if self.connection is not None and self.connection.is_open:
            self.connection.close()


def answer(future: Future[T], value: T) -> None:
    """Answer, unless whoever asked has given up."""
    if not future.done():
        future.set_result(value)


def parameters(options: Options, *, node: tuple[str, int], purpose: str) -> pika.ConnectionParameters:
    """Return what a connection is made with."""
    host, port = node
    credentials: Any = pika.PlainCredentials(options.user, options.password)
    if options.external:
        credentials = pika.credentials.ExternalCredentials()
    tls = (
        None
        if options.tls is None
        else pika.SSLOptions(options.tls, options.server_name if len(options.nodes) == 1 else host)
    )
    return pika.ConnectionParameters(
        host=host,
        port=port,
        virtual_host=options.virtual_host,
        credentials=credentials,
        ssl_options=tls,
        heartbeat=options.heartbeat,
        connection_attempts=1,
        retry_delay=0,
        socket_timeout=options.connect_timeout,
        stack_timeout=options.connect_timeout,
        client_properties={
            "product": "OpenQueue for Django",
            "connection_name": f"openqueue {purpose} {socket.gethostname()}:{os.getpid()}",
        },
    )
