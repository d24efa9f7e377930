from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django
import pytest
from aiosmtpd.controller import Controller

from tests.servers.ports import free_port


class Mailbox:
    """Keeps what an SMTP server was given."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.mails.append(envelope)
        return self.answer


def mail_goes_to(port: int, settings: Any) -> None:
    """Have the project send its mail there, in the way of this Django."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION < (6, 1):
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = backend, "127.0.0.1", port
    else:
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"host": "127.0.0.1", "port": port}}}


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    """A real SMTP server that the project sends its mail by."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    mail_goes_to(controller.port, settings)
    yield mailbox
    controller.stop()
