"""What RabbitMQ refuses, in words that say what to do."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Final

from pika import exceptions

NO_ROUTE: Final = "No queue took the message: its queue, or the way to it, was deleted. It is made again."
AUTHENTICATION: Final = "RabbitMQ does not accept user and password. Put the right ones into the URL."
VIRTUAL_HOST: Final = (
    "There is no such virtual host, or the user may not use it (rabbitmqctl set_permissions)."
)
DIFFERS: Final = re.compile(
    r"inequivalent arg '(?P<arg>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)'.*?: "
    r"received (?P<wanted>.+?) but current is (?P<found>.+)",
    re.DOTALL,
)
NOT_ALLOWED: Final = re.compile(r"access to (?P<kind>queue|exchange|topic) '(?P<name>[^']+)'")


class RabbitMQFailed(ConnectionError):
    """RabbitMQ did not do what was asked. The message says where, why, and what to do."""

    def __init__(self, where: str, error: BaseException | str, *, certain: bool) -> None:
        super().__init__(f"RabbitMQ at {where}: {explained(error)}")
        self.certain = certain
        """True: nothing was done. False: nobody knows."""


class TopologyDiffers(RabbitMQFailed):
    """A queue or exchange exists and was declared differently. The message names it, and the argument."""


def failed(where: str, error: BaseException, *, certain: bool) -> RabbitMQFailed:
    """Return the error to raise for what the client said."""
    if isinstance(error, RabbitMQFailed):
        return error
    if isinstance(error, exceptions.ChannelClosedByBroker) and DIFFERS.search(error.reply_text):
        return TopologyDiffers(where, error, certain=True)
    return RabbitMQFailed(where, error, certain=certain)


def cause(error: BaseException) -> BaseException:
    """Return what the client wraps: a connection that could not be opened is told in three layers."""
    while True:
        if isinstance(error, exceptions.AMQPConnectionError) and error.args:
            inner = error.args[0]
        else:
            inner = getattr(error, "exceptions", [None])[-1] or getattr(error, "exception", None)
        if not isinstance(inner, BaseException):
            return error
        error = inner


def explained(error: BaseException | str) -> str:
    """Return what the server or the client said, and the remedy."""
    if isinstance(error, str):
        return error
    error = cause(error)
    said = " ".join(str(getattr(error, "reply_text", "") or error).split())[:300] or type(error).__name__
    remedy = remedy_for(error, said)
    return f"{remedy} ({said})" if remedy else said


def remedy_for(error: BaseException, said: str) -> str:
    if found := DIFFERS.search(said):
        return (
            f"The {found['kind']} {found['name']!r} exists with another {found['arg']}: it has {found['found']}, "
            f"the OPTIONS say {found['wanted']}. Make the OPTIONS fit, or delete it: it is made again, and no run is "
            "lost, for what stood in it is announced again."
        )
    if found := NOT_ALLOWED.search(said):
        return (
            f"The user of the URL may not use the {found['kind']} {found['name']!r}. The page of this runtime "
            "shows the permissions that it needs."
        )
    match error:
        case exceptions.ProbableAuthenticationError():
            return AUTHENTICATION
        case exceptions.ProbableAccessDeniedError():
            return VIRTUAL_HOST
        case exceptions.ConnectionClosedByBroker(reply_code=403):
            return AUTHENTICATION
        case exceptions.ConnectionClosedByBroker(reply_code=530):
            return VIRTUAL_HOST
        case exceptions.ConnectionClosedByBroker(reply_code=320):
            return "RabbitMQ closed the connection: an operator did, or it is stopping. It is opened again."
        case exceptions.ChannelClosedByBroker(reply_code=404):
            return "It was deleted. It is made again."
        case exceptions.IncompatibleProtocolError():
            return (
                "Whoever listens there ends the connection before a word of AMQP 0-9-1. Is this the port of TLS, or of "
                "the management, or of a proxy without a server?"
            )
        case ConnectionRefusedError():
            return "Nobody listens there. Is RabbitMQ running?"
        case socket.gaierror():
            return "There is no such host. Look at the URL."
        case ssl.SSLCertVerificationError():
            return "Its certificate is not trusted. Put the authority that signed it into 'ca'."
    return ""
