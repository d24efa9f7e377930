"""Sends one mail, by whatever the project sends mail with. Imported when one is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.core import mail
from django.core.mail import EmailMessage

TIMEOUT: Final = 10.0


def send(recipients: Sequence[str], *, subject: str, body: str, sender: str, id: str) -> None:
    """Send it to all of them at once; none sees the others.

    Raises:
        Exception: whatever the project's backend raises; it was not sent.
    """
    message = EmailMessage(
        subject, body, sender or None, bcc=list(recipients), headers={"X-OpenQueue-Delivery": id}
    )
    backend = connection()
    try:
        if not backend.send_messages([message]):
            raise OSError("the mail backend sent nothing")
    finally:
        backend.close()


def connection() -> Any:
    """Return the project's mail backend, with a timeout where the project gave none."""
    mailers: Any = getattr(mail, "mailers", None)  # Django 6.1 and later
    backend: Any = mail.get_connection() if mailers is None else mailers.default
    if getattr(backend, "timeout", TIMEOUT) is None:
        backend.timeout = TIMEOUT
    return backend
